"""What a run would learn from, and what to mind, before it is handed in."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.config import GAP_CONFIDENCE
from core.dataset import feedback_set, frozen_sets
from core.dataset.base_set import BaseSet
from core.dataset.images import boxes_per_class
from core.feedback.approved import ApprovedSample
from core.registry import publish
from core.schemas import DatasetPreview, FineTuneRequest, RetrainRequest
from core.store import Store
from core.store.run_views import expected_duration_s

# Below, AdamW hardly moves a converged detector in a few epochs; above, it forgets (docs/training.md).
_USUAL_LEARNING_RATE = (1e-5, 1e-3)
_FEW_BOXES = 10
_FEW_TEST_IMAGES = 100
_GAPS_ARE_FILLED = (
    f"Boxes that the live model is at least {GAP_CONFIDENCE:.0%} sure of are added where nobody drew one, "
    "and learned from unseen. How many is known once the images are here."
)


@dataclass(frozen=True)
class _Parts:
    """What a run would be composed of; images by sha256, where that is known before they are fetched."""

    base: BaseSet
    feedback_count: int
    feedback: frozenset[str]
    boxes: Mapping[str, int]
    learned: frozenset[str]
    held_out: frozenset[str]

    @property
    def pool(self) -> frozenset[str]:
        """The replay pool, as `revision.compose` makes it."""
        base = {image.sha256 for image in self.base.train.images}
        return (self.learned | base) - self.feedback - self.held_out


def preview(store: Store, request: FineTuneRequest) -> DatasetPreview:
    """What a run on a batch would learn from, and what to mind; nothing is fetched and nothing starts.

    Raises:
        BaseSetMissing: If there is no base set.
        BaseSetInvalid: If it cannot be read.
        ClassMapMismatch: If it does not name the live model's classes.
    """
    base = _base_set(store)
    with store.database.read() as session:
        earlier = _images(feedback_set.learned(session)), _images(feedback_set.kept_for_judging(session))
    boxes = _per_class(_posted_names(request, base.class_names), base.class_names)
    parts = _Parts(base, len(request.images), frozenset(), boxes, *earlier)
    gaps = [_GAPS_ARE_FILLED] if request.fill_gaps else []
    return _described(store, request, parts, _warnings(request, parts) + gaps)


def preview_retrain(store: Store, request: RetrainRequest) -> DatasetPreview:
    """What a run on all that was approved would learn from now, and what to mind; raises as `preview`."""
    base = _base_set(store)
    with store.database.read() as session:
        new = feedback_set.not_learned(session)
        earlier = _images(feedback_set.learned(session)), _images(feedback_set.kept_for_judging(session))
        nothing = [] if new else [feedback_set.nothing_approved(session).detail]
    boxes = _per_class(_approved_names(new, base.class_names), base.class_names)
    parts = _Parts(base, len(new), _images(new), boxes, *earlier)
    return _described(store, request, parts, nothing + _warnings(request, parts))


def _base_set(store: Store) -> BaseSet:
    base = frozen_sets.base_set(store)
    live = publish.champion(store)
    return base.in_order_of(live.class_names) if live else base


def _images(samples: Iterable[ApprovedSample]) -> frozenset[str]:
    return frozenset(sample.blob_sha256 for sample in samples)


def _posted_names(request: FineTuneRequest, class_names: tuple[str, ...]) -> Iterable[str]:
    known = dict(enumerate(class_names))
    posted = (detection for image in request.images for detection in image.detections)
    return (box.class_name or known.get(box.class_id or 0, f"unknown class {box.class_id}") for box in posted)


def _approved_names(samples: list[ApprovedSample], class_names: tuple[str, ...]) -> Iterable[str]:
    return (class_names[box["class_id"]] for sample in samples for box in sample.detections)


def _per_class(names: Iterable[str], class_names: tuple[str, ...]) -> dict[str, int]:
    return {**dict.fromkeys(class_names, 0), **Counter(names)}


def _described(store: Store, request: RetrainRequest, parts: _Parts, warnings: list[str]) -> DatasetPreview:
    asked = 0 if request.replay_strategy == "none" else request.train_replay
    replay = min(asked, len(parts.pool))
    size = parts.feedback_count + replay
    train = parts.base.train.images
    return DatasetPreview(
        feedback_samples=parts.feedback_count,
        replay_samples=replay,
        dataset_size=size,
        replay_pool_feedback=len(parts.pool & parts.learned),
        holdout_samples=len(parts.held_out),
        expected_duration_s=expected_duration_s(store, size, request.epochs),
        boxes_per_class=dict(parts.boxes),
        base_images=len(train),
        base_boxes_per_class=boxes_per_class(train, parts.base.class_names),
        warnings=warnings,
        hyperparameters=request.hyperparameters,
    )


def _warnings(request: RetrainRequest, parts: _Parts) -> list[str]:
    base, boxes = parts.base, parts.boxes
    lowest, highest = _USUAL_LEARNING_RATE
    found = [
        (bool(base.notes), " ".join(base.notes)),
        (
            not lowest <= request.learning_rate <= highest,
            f"The learning rate {request.learning_rate:g} is outside the usual {lowest:g} to {highest:g}.",
        ),
        (
            request.train_replay == 0 or request.replay_strategy == "none",
            "No base image is replayed: what the detector knew may be forgotten. Set train_replay.",
        ),
        (
            len(base.test.images) < _FEW_TEST_IMAGES,
            f"The base test set has {len(base.test.images)} images: a small change may be chance.",
        ),
    ]
    rare = [f"{name} has {count}" for name, count in boxes.items() if 0 < count < _FEW_BOXES]
    found.append((bool(rare), f"Classes with fewer than {_FEW_BOXES} feedback boxes: {', '.join(rare)}."))
    unknown = [name for name in boxes if name not in base.class_names]
    found.append(
        (bool(unknown), f"Images with {', '.join(unknown)} would be put aside: the model has no such class.")
    )
    return [text for applies, text in found if applies]
