"""What a run would learn from, and what to mind, before it is handed in."""

from collections import Counter

from core.dataset.base_set import BaseSet, read_base_set
from core.dataset.images import boxes_per_class
from core.registry import publish
from core.schemas import DatasetPreview, FineTuneRequest
from core.store import Store
from core.store.run_views import expected_duration_s

# Below, AdamW hardly moves a converged detector in a few epochs; above, it forgets (docs/training.md).
_USUAL_LEARNING_RATE = (1e-5, 1e-3)
_FEW_BOXES = 10
_FEW_TEST_IMAGES = 100


def preview(store: Store, request: FineTuneRequest) -> DatasetPreview:
    """What a run would learn from, and what to mind; nothing is fetched and nothing starts.

    Raises:
        BaseSetMissing: If there is no base set.
        BaseSetInvalid: If it cannot be read.
        ClassMapMismatch: If it does not name the live model's classes.
    """
    base = read_base_set(store.settings.base_set_root)
    live = publish.champion(store)
    base = base.in_order_of(live.class_names) if live else base
    replay = 0 if request.replay_strategy == "none" else min(request.train_replay, len(base.train.images))
    size = len(request.images) + replay
    return DatasetPreview(
        feedback_samples=len(request.images),
        replay_samples=replay,
        dataset_size=size,
        expected_duration_s=expected_duration_s(store, size, request.epochs),
        boxes_per_class=_posted_boxes(request, base.class_names),
        base_images=len(base.train.images),
        base_boxes_per_class=boxes_per_class(base.train.images, base.class_names),
        warnings=_warnings(request, base),
        hyperparameters=request.hyperparameters,
    )


def _posted_boxes(request: FineTuneRequest, class_names: tuple[str, ...]) -> dict[str, int]:
    known = dict(enumerate(class_names))
    posted = (detection for image in request.images for detection in image.detections)
    named = (
        box.class_name or known.get(box.class_id or 0, f"unknown class {box.class_id}") for box in posted
    )
    return {**dict.fromkeys(class_names, 0), **Counter(named)}


def _warnings(request: FineTuneRequest, base: BaseSet) -> list[str]:
    boxes = _posted_boxes(request, base.class_names)
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
    found.append((bool(rare), f"Classes with fewer than {_FEW_BOXES} posted boxes: {', '.join(rare)}."))
    unknown = [name for name in boxes if name not in base.class_names]
    found.append(
        (bool(unknown), f"Images with {', '.join(unknown)} would be put aside: the model has no such class.")
    )
    return [text for applies, text in found if applies]
