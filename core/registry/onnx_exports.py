"""Checkpoints as ONNX files for inference services, and how far what they see is from the weights."""

import json
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, Field

from core.config import DEFAULT_IMAGE_SIZE
from core.dataset import revision
from core.dataset.base_set import read_base_set
from core.dataset.images import LabelledImage
from core.dataset.revision import DatasetRevision
from core.errors import ExportFailed, NotFound, SeparateWorkFailed
from core.registry import checkpoints, separate
from core.registry.files import Replacement
from core.registry.parity import Parity, compare
from core.store import Store
from core.store.blobs import file_sha256
from core.store.tables import Checkpoint, utc_now

CONFIDENCE = 0.05
_MARGIN = 0.01
"""Looked at below that, so that what is a hair above it on one side is found on the other."""
_MOST_IMAGES = 200
_MOST_CORNER_DIFFERENCE_PX = 1.0


class OnnxExport(BaseModel):
    """A checkpoint as an ONNX file of this host."""

    checkpoint_id: str
    sha256: str = Field(description="Of the ONNX file.")
    size_bytes: int
    image_size: int = Field(description="Side of the square that it takes, in pixels.")
    created_at: str
    parity: Parity = Field(
        description=f"Against the weights, on images that judge them, from a confidence of {CONFIDENCE} up."
    )
    agrees: bool = Field(
        description="No detection missing or too much, confidences within 0.01, corners within 1 px."
    )


def export(store: Store, checkpoint_id: str, image_size: int | None = None) -> OnnxExport:
    """Write a checkpoint as ONNX, and compare on its test and holdout images; takes about half a minute.

    Args:
        store: Has the checkpoint; the file lies beside its weights.
        checkpoint_id: The checkpoint.
        image_size: Side of the square that the file takes, in pixels; that of its run when left out.

    Raises:
        NotFound: If there is no such checkpoint.
        CheckpointDamaged: If the weights are not those that were registered.
        BaseSetMissing: If there are no images to compare on, or BaseSetInvalid if they are others.
        ExportFailed: If the process that exports fails.
    """
    checkpoint = checkpoints.get(store, checkpoint_id)
    size = image_size or (checkpoint.manifest.get("recipe") or {}).get("image_size", DEFAULT_IMAGE_SIZE)
    weights, images = checkpoints.verified_weights(store, checkpoint), _judging_images(store, checkpoint)
    target = path_of(store, checkpoint_id, size)
    with FileLock(store.settings.data_dir / "export.lock"):
        try:
            as_torch, as_onnx = separate.export_onnx(
                store.settings,
                weights,
                target,
                image_size=size,
                images=[image.path for image in images],
                confidence=CONFIDENCE - _MARGIN,
            )
        except SeparateWorkFailed as error:
            raise ExportFailed(f"Checkpoint {checkpoint_id} could not be exported. {error.detail}") from error
        made = _described(checkpoint, target, size, compare(as_torch, as_onnx, confidence=CONFIDENCE))
        _keep(target, made)
    return made


def known(store: Store, checkpoint_id: str, image_size: int) -> OnnxExport:
    """An export that was made on this host.

    Raises:
        NotFound: If it was not, or is damaged.
    """
    path = path_of(store, checkpoints.get(store, checkpoint_id).id, image_size)
    try:
        made = OnnxExport.model_validate_json(_facts_path(path).read_text(encoding="utf-8"))
        if file_sha256(path) == made.sha256:
            return made
    except (FileNotFoundError, ValueError):
        pass
    raise NotFound(
        f"Checkpoint {checkpoint_id} was not exported for {image_size} px on this host. "
        f"POST /api/checkpoints/{checkpoint_id}/onnx does that."
    )


def path_of(store: Store, checkpoint_id: str, image_size: int) -> Path:
    """Where the file of an export is."""
    return checkpoints.weights_path(store, checkpoint_id).with_name(f"weights-{image_size}.onnx")


def _facts_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _described(checkpoint: Checkpoint, path: Path, image_size: int, parity: Parity) -> OnnxExport:
    return OnnxExport(
        checkpoint_id=checkpoint.id,
        sha256=file_sha256(path),
        size_bytes=path.stat().st_size,
        image_size=image_size,
        created_at=utc_now().isoformat(),
        parity=parity,
        agrees=not (parity.missing_count or parity.extra_count)
        and parity.most_confidence_difference <= _MARGIN
        and parity.most_corner_difference_px <= _MOST_CORNER_DIFFERENCE_PX,
    )


def _keep(path: Path, made: OnnxExport) -> None:
    with Replacement() as new:
        new.add_text(_facts_path(path), json.dumps(made.model_dump(), indent=2), "the figures of an export")
        new.commit()


def _judging_images(store: Store, checkpoint: Checkpoint) -> list[LabelledImage]:
    images = [*_test_images(store, checkpoint)]
    step = -(-len(images) // _MOST_IMAGES)
    return images[:: max(step, 1)]


def _test_images(store: Store, checkpoint: Checkpoint) -> tuple[LabelledImage, ...]:
    folder = store.settings.dataset_folder(checkpoint.run_id or "")
    if checkpoint.run_id and (folder / revision.FILE_NAME).is_file():
        frozen = DatasetRevision.load(folder)
        return frozen.test.images + frozen.holdout.images
    base = read_base_set(store.settings.base_set_root).in_order_of(checkpoint.class_names)
    if checkpoint.dataset_digest is None:
        return base.test.images
    frozen = revision.restore(store, checkpoint.dataset_digest, base)
    return frozen.test.images + frozen.holdout.images
