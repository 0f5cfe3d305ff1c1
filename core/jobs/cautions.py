"""What to mind about a run before it starts, each with its reason."""

from collections.abc import Iterator

import sqlalchemy as sa

from core.evaluation.checks import FEW_GROUPS
from core.feedback.holdout import HOLDOUT_STARTS_AT
from core.jobs.prospect import Prospect
from core.registry import publish
from core.schemas import DatasetPreview, RetrainRequest
from core.store import Store
from core.store.states import ENDED
from core.store.tables import Run

# Below, AdamW hardly moves a converged detector in a few epochs; above, it forgets (docs/training.md).
_USUAL_LEARNING_RATE = (1e-5, 1e-3)
_FEW_BOXES = 10
_FEW_TEST_IMAGES = 100


def of(store: Store, request: RetrainRequest, parts: Prospect, seen: DatasetPreview) -> list[str]:
    """All that is to be minded about a run of these parts, as previewed so far."""
    return [
        *_of_weights(store),
        *parts.base.notes,
        *_of_hyperparameters(request, seen),
        *_of_replay(request, parts, seen),
        *_of_classes(parts, seen),
        *_of_judging(request, parts),
    ]


def of_other_runs(store: Store) -> list[str]:
    """Whether a run that has not ended learns from the same approved feedback."""
    query = sa.select(Run.id).where(Run.learns_from == "approved", Run.status.not_in(ENDED))
    with store.database.read() as session:
        at_work = session.scalar(query.order_by(Run.id.desc()).limit(1))
    if at_work is None:
        return []
    return [
        f"{at_work} learns from what was approved already and has not ended: "
        "unless more is approved by then, another run learns the same once more."
    ]


def _of_weights(store: Store) -> Iterator[str]:
    settings = store.settings
    is_baseline_there = settings.is_demo or settings.baseline_path.is_file()
    if publish.champion(store) is None and not is_baseline_there:
        yield (
            f"Nothing is live, and there are no weights at {settings.baseline_path} to begin with: "
            "the run would fail. Set TMS_PRETRAINED_WEIGHTS."
        )


def _of_hyperparameters(request: RetrainRequest, seen: DatasetPreview) -> Iterator[str]:
    lowest, highest = _USUAL_LEARNING_RATE
    if not lowest <= request.learning_rate <= highest:
        yield (
            f"The learning rate {request.learning_rate:g} is outside the usual {lowest:g} to {highest:g}: "
            "below, little is learned; above, much is forgotten."
        )
    if 0 < seen.dataset_size < request.batch_size:
        yield (
            f"An epoch of {seen.dataset_size} images does not fill one batch of {request.batch_size}: "
            f"the weights move only {request.epochs} times."
        )


def _of_replay(request: RetrainRequest, parts: Prospect, seen: DatasetPreview) -> Iterator[str]:
    if seen.replay_samples == 0:
        yield "No base image is replayed: what the detector knew may be forgotten. Set train_replay."
    elif seen.replay_samples < request.train_replay:
        yield (
            f"The replay pool holds {seen.replay_samples} images: "
            f"every epoch replays all of them, and not {request.train_replay}."
        )


def _of_classes(parts: Prospect, seen: DatasetPreview) -> Iterator[str]:
    boxes = seen.boxes_per_class
    rare = [f"{name} has {count}" for name, count in boxes.items() if 0 < count < _FEW_BOXES]
    if rare:
        yield (
            f"Classes with fewer than {_FEW_BOXES} feedback boxes: {', '.join(rare)}. "
            "So few may be learned by heart and not recognised elsewhere."
        )
    unknown = [name for name in boxes if name not in parts.base.class_names]
    if unknown:
        yield f"Images with {', '.join(unknown)} would be put aside: the model has no such class."


def _of_judging(request: RetrainRequest, parts: Prospect) -> Iterator[str]:
    tested = len(parts.base.test.images)
    if tested < _FEW_TEST_IMAGES:
        yield f"The base test set has {tested} images: a small change may be chance."
    held_out = parts.held_out
    group_count = len({image.group or image.sha256 for image in held_out})
    unproven = " With proven_gain it is then not published." if request.promotion == "proven_gain" else ""
    if not held_out:
        yield (
            "No feedback is kept for judging yet, so no gain on it can be proven; some of it is, once "
            f"{HOLDOUT_STARTS_AT} samples are approved.{unproven}"
        )
    elif group_count < FEW_GROUPS:
        yield (
            f"{len(held_out)} feedback images of {group_count} groups are kept for judging: "
            f"with fewer than {FEW_GROUPS} groups only a large gain can be proven.{unproven}"
        )
