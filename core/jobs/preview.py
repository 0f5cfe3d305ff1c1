"""What a run would learn from, and what to mind, before it is handed in."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from core.config import GAP_CONFIDENCE
from core.dataset import feedback_set
from core.dataset.images import boxes_per_class
from core.jobs import cautions
from core.jobs.prospect import Prospect, base_set, prospect
from core.schemas import DatasetPreview, FineTuneRequest, RetrainRequest
from core.store import Store
from core.store.run_views import expected_duration_s

_GAPS_ARE_FILLED = (
    f"Boxes that the live model is at least {GAP_CONFIDENCE:.0%} sure of are added where nobody drew one, "
    "and learned from unseen. How many is known once the images are here."
)


def preview(store: Store, request: FineTuneRequest) -> DatasetPreview:
    """What a run on a batch would learn from, and what to mind; nothing is fetched and nothing starts.

    Raises:
        BaseSetMissing: If there is no base set.
        BaseSetInvalid: If it cannot be read.
        ClassMapMismatch: If it does not name the live model's classes.
    """
    # Which images the batch holds is not known before they are fetched.
    parts = replace(prospect(store, base_set(store)), new=())
    names = parts.base.class_names
    boxes = {**dict.fromkeys(names, 0), **Counter(_posted_names(request, names))}
    seen = _described(store, request, parts, len(request.images), boxes)
    gaps = [_GAPS_ARE_FILLED] if request.fill_gaps else []
    return seen.model_copy(update={"warnings": [*cautions.of(store, request, parts, seen), *gaps]})


def preview_retrain(store: Store, request: RetrainRequest) -> DatasetPreview:
    """What a run on all that was approved would learn from now, and what to mind; raises as `preview`."""
    return preview_of(store, request, prospect(store, base_set(store)))


def preview_of(store: Store, request: RetrainRequest, parts: Prospect) -> DatasetPreview:
    """The same of parts that were read before, as for a form whose sliders move."""
    boxes = boxes_per_class(parts.new, parts.base.class_names)
    seen = _described(store, request, parts, len(parts.new), boxes)
    with store.database.read() as session:
        nothing = [] if parts.new else [feedback_set.nothing_approved(session).detail]
    under_way = cautions.of_other_runs(store)
    return seen.model_copy(
        update={"warnings": [*nothing, *under_way, *cautions.of(store, request, parts, seen)]}
    )


def _posted_names(request: FineTuneRequest, class_names: tuple[str, ...]) -> Iterable[str]:
    known = dict(enumerate(class_names))
    posted = (detection for image in request.images for detection in image.detections)
    return (box.class_name or known.get(box.class_id or 0, f"unknown class {box.class_id}") for box in posted)


def _described(
    store: Store, request: RetrainRequest, parts: Prospect, feedback_count: int, boxes: dict[str, int]
) -> DatasetPreview:
    epoch = parts.first_epoch(request.hyperparameters)
    size = feedback_count + epoch.replay_per_epoch
    train = parts.base.train.images
    return DatasetPreview(
        feedback_samples=feedback_count,
        replay_samples=epoch.replay_per_epoch,
        dataset_size=size,
        replay_pool_feedback=sum(image.sample is not None for image in epoch.replay_pool),
        holdout_samples=len(parts.held_out),
        expected_duration_s=expected_duration_s(store, size, request.epochs),
        boxes_per_class=boxes,
        base_images=len(train),
        base_boxes_per_class=boxes_per_class(train, parts.base.class_names),
        warnings=[],
        hyperparameters=request.hyperparameters,
    )
