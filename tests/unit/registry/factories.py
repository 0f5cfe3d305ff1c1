"""Checkpoints of a few bytes: the registry never looks inside weights."""

import json
from typing import Any

from core.config import DEFAULT_IMAGE_SIZE
from core.dataset.images import ImageSet
from core.evaluation.detections import Detections, Truth
from core.evaluation.figures import figures_of
from core.evaluation.metrics import Score
from core.registry import checkpoints, evaluations, proof, publish
from core.schemas import Verdict
from core.store import Store
from core.store.tables import Checkpoint, Evaluation, Run, Witness
from core.trainer import accept
from tests.factories import CLASS_NAMES, image, request


def register(store: Store, content: bytes, parent_id: str | None = None) -> Checkpoint:
    """A checkpoint whose weights are these bytes."""
    path = store.settings.home / "new.pt"
    path.write_bytes(content)
    return checkpoints.register(store, path, class_names=CLASS_NAMES, parent_id=parent_id)


def promote(store: Store, checkpoint: Checkpoint, instead_of: str | None, run_id: str | None = None) -> bool:
    """Promote it as Anna does."""
    return publish.promote(
        store, checkpoint, instead_of=instead_of, actor="anna", reason="better", run_id=run_id
    )


def shown(store: Store) -> tuple[bytes, dict[str, Any]]:
    """The published files of a home: weights and manifest."""
    manifest = json.loads((store.settings.weights_dir / "champion.json").read_text())
    return publish.published_path(store).read_bytes(), manifest


def proven(store: Store, content: bytes, run_id: str | None = None) -> Checkpoint:
    """A checkpoint of these bytes that counts as loaded by another process."""
    path = store.settings.home / "new.pt"
    path.write_bytes(content)
    checkpoint = checkpoints.register(store, path, class_names=CLASS_NAMES, run_id=run_id)
    seen = {"image_sha256": "0" * 64, "image_size_px": 64, "detections": []}
    with store.database.write() as session:
        session.add(Witness(checkpoint_id=checkpoint.id, proven_with=proof.libraries(), **seen))
    return checkpoint


def judged(store: Store, content: bytes, verdict: Verdict | None) -> Checkpoint:
    """The candidate of a run that has this verdict on it, or none yet."""
    with store.database.write() as session:
        run_id = accept(session, request(image("http://x/a.png")), source="test", actor="test").id
    candidate = proven(store, content, run_id)
    with store.database.write() as session:
        run = session.get_one(Run, run_id)
        run.checkpoint_id, run.summary = candidate.id, {"verdict": verdict} if verdict else None
    return candidate


def scored(store: Store, checkpoint: Checkpoint, images: ImageSet, *, found_share: float) -> Evaluation:
    """Kept as what it scored at the default size: it finds the first share of the images' boxes exactly."""
    found = round(found_share * len(images.images))
    detections = Detections.of(
        images.digest,
        [
            [[*label.xyxy_in(one.width_px, one.height_px), 0.9, label.class_id] for label in one.labels]
            if number < found
            else []
            for number, one in enumerate(images.images)
        ],
    )
    score = Score(
        set_name=images.name,
        set_digest=images.digest,
        image_count=len(images.images),
        metrics={"fitness": found_share},
        per_class=(),
    )
    return evaluations.record(
        store,
        checkpoint.id,
        score,
        image_size=DEFAULT_IMAGE_SIZE,
        figures=figures_of(Truth.of(images), detections, class_names=CLASS_NAMES, confidence=0.25),
        detections=detections,
    )
