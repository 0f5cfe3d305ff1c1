"""That weights load elsewhere: a process that did not write them has to see what the judge saw.

The judge keeps what a checkpoint sees in one image, at a confidence at which even an untrained detector sees
something. Before the checkpoint is published another process loads the weights and looks at the same image.
That is done once for each version of the libraries: an earlier champion comes back without it.
"""

import io
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from core.config import DEFAULT_IMAGE_SIZE
from core.errors import BlobDamaged, PublishFailed, SeparateWorkFailed
from core.registry import checkpoints, separate
from core.registry.parity import Seen, compare
from core.store import Store
from core.store.tables import Checkpoint, Witness

_CONFIDENCE = 0.001
_MOST_DETECTIONS = 20
# Processors round differently; what was learned differently is further apart.
_MOST_CONFIDENCE_DIFFERENCE = 0.005
# What is less sure may fall below the confidence from which on anything is seen.
_SURE_TO_BE_SEEN = _CONFIDENCE + _MOST_CONFIDENCE_DIFFERENCE


def keep_witness(
    store: Store, checkpoint: Checkpoint, image: Path, *, image_size: int, is_proof: bool = False
) -> None:
    """See an image with a checkpoint in this process, and keep what is seen.

    Args:
        store: Where that is kept.
        checkpoint: The checkpoint.
        image: An image file; its bytes are kept too.
        image_size: Side of the square it is fitted into, in pixels.
        is_proof: Whether this process did not write the weights, so that no other has to load them.
    """
    from core.registry import export

    weights = checkpoints.verified_weights(store, checkpoint)
    (seen,) = export.see(str(weights), [str(image)], image_size, _CONFIDENCE)
    image_sha256 = store.blobs.put(image.read_bytes(), "the image of a proof")
    row = _row(checkpoint, image_sha256, image_size, seen)
    row.proven_with = libraries() if is_proof else None
    with store.database.write() as session:
        session.merge(row)


def keep_proven(store: Store, checkpoint: Checkpoint) -> None:
    """As `keep_witness`, with a drawn image, for weights that this process has not written."""
    image = store.blobs.local_path(_drawn_image(store))
    keep_witness(store, checkpoint, image, image_size=DEFAULT_IMAGE_SIZE, is_proof=True)


def prove(store: Store, checkpoint: Checkpoint) -> None:
    """Have another process load a checkpoint, unless one has with these libraries.

    Raises:
        PublishFailed: If it cannot, or sees something else than the judge.
        CheckpointDamaged: If the weights are not those that were registered.
    """
    known = _witness(store, checkpoint.id)
    if known is not None and known.proven_with == libraries():
        return
    row = _seen_elsewhere(store, checkpoint, known)
    row.proven_with = libraries()
    with store.database.write() as session:
        session.merge(row)


def libraries() -> str:
    """The versions under which weights count as proven."""
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "ultralytics"))


def _seen_elsewhere(store: Store, checkpoint: Checkpoint, known: Witness | None) -> Witness:
    image_sha256 = known.image_sha256 if known else _drawn_image(store)
    try:
        image = store.blobs.local_path(image_sha256)
    except BlobDamaged:
        # Who judged it is believed, and there is nothing to hold him against any more.
        return _seen_elsewhere(store, checkpoint, None)
    image_size = known.image_size_px if known else DEFAULT_IMAGE_SIZE
    weights = checkpoints.verified_weights(store, checkpoint)
    try:
        (seen,) = separate.see(
            store.settings, weights, [image], image_size=image_size, confidence=_CONFIDENCE
        )
    except SeparateWorkFailed as error:
        raise PublishFailed(
            f"Checkpoint {checkpoint.id} could not be loaded by another process. {error.detail}"
        ) from error
    if known is not None:
        _refuse_unless_same(checkpoint, known, seen)
    return _row(checkpoint, image_sha256, image_size, known.detections if known else seen)


def _refuse_unless_same(checkpoint: Checkpoint, known: Witness, seen: list[Seen]) -> None:
    held = compare([known.detections], [seen], confidence=_SURE_TO_BE_SEEN)
    if held.missing_count or held.most_confidence_difference > _MOST_CONFIDENCE_DIFFERENCE:
        raise PublishFailed(
            f"Checkpoint {checkpoint.id} sees in another process what it did not see when it was judged: "
            f"{held.missing_count} of {held.detection_count} detections are missing, and confidences differ "
            f"by up to {held.most_confidence_difference:.3f}. Were the libraries changed? Judge it again."
        )


def _row(checkpoint: Checkpoint, image_sha256: str, image_size: int, detections: list[Seen]) -> Witness:
    return Witness(
        checkpoint_id=checkpoint.id,
        image_sha256=image_sha256,
        image_size_px=image_size,
        detections=detections[:_MOST_DETECTIONS],
    )


def _witness(store: Store, checkpoint_id: str) -> Witness | None:
    with store.database.read() as session:
        return session.get(Witness, checkpoint_id)


def _drawn_image(store: Store) -> str:
    """A warm spot on a cool ramp, in the blob store: for weights that no judge has seen."""
    y, x = np.mgrid[0:240, 0:320]
    warmth = 60 + y / 4 + 120 * np.exp(-((x - 180) ** 2 + (y - 110) ** 2) / 900)
    pixels = np.stack([warmth, warmth * 0.6, 160 - warmth / 2], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return store.blobs.put(file.getvalue(), "the image of a proof")
