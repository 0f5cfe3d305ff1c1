"""Two models held against each other on real image files, without a detector: what each saw is given."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.config import DEFAULT_IMAGE_SIZE
from core.dataset import frozen_sets
from core.dataset.images import ImageSet, LabelledImage
from core.evaluation.detections import Detections, Truth
from core.evaluation.figures import figures_of
from core.evaluation.metrics import Score
from core.registry import comparisons, evaluations, verdicts
from core.store import Store, runs
from core.store.tables import Checkpoint, Comparison, Evaluation
from tests.factories import CLASS_NAMES, write_base_set
from tests.ui import states
from tests.unit.registry.factories import promote, proven

SIDE_PX = 160
Row = list[float]


@dataclass(frozen=True)
class Compared:
    """A champion and the candidate of a run that judged both.

    Attributes:
        baseline_id: The champion.
        candidate_id: The candidate.
        run_id: The run that made it.
        images: The base test set: see `compare` for what changed in which.
        row: The kept comparison.
    """

    baseline_id: str
    candidate_id: str
    run_id: str
    images: Sequence[LabelledImage]
    row: Comparison


def judged_run(store: Store, *, test_images: int = 8, lost: int = 1) -> Compared:
    """A run whose candidate got worse in some images and better in the last, and was not published."""
    test = frozen_test_set(store, test_images)
    champion = proven(store, b"old")
    promote(store, champion, None)
    run_id = states.train_run(store, epochs_done=states.EPOCHS)
    candidate = proven(store, b"new", run_id)
    runs.enter(store, run_id, "training", parent_id=champion.id, checkpoint_id=candidate.id)
    row = compare(store, champion, candidate, test, lost=lost, run_id=run_id)
    decision = verdicts.verdict_on(store, runs.get_row(store, run_id))
    states.finish_run(
        store,
        run_id,
        champion.id,
        promoted=False,
        candidate_id=candidate.id,
        verdict=decision.verdict,
        verdict_reason=decision.reason,
    )
    return Compared(champion.id, candidate.id, run_id, test.images, row)


def frozen_test_set(store: Store, test_images: int = 8) -> ImageSet:
    """The test split of a base set that is written where the store looks for it, frozen."""
    counts = {"train": 6, "valid": 3, "test": test_images}
    write_base_set(store.settings.base_set_root, images=counts, size_px=SIDE_PX)
    test = frozen_sets.base_set(store).test
    frozen_sets.freeze(store, test)
    return test


def compare(
    store: Store, old: Checkpoint, new: Checkpoint, images: ImageSet, *, lost: int, run_id: str | None = None
) -> Comparison:
    """Old finds all but the last box. New loses the first, then mistakes a class, sees what is not there, and
    is loose, each in one image; it finds the last.
    """
    boxes = [_found(image) for image in images.images]
    before: list[list[Row]] = [[box] for box in boxes[:-1]] + [[]]
    after: list[list[Row]] = [[] if number < lost else [box] for number, box in enumerate(boxes)]
    mistaken, alarmed, loose = range(lost, lost + 3)
    after[mistaken] = [[*boxes[mistaken][:5], (boxes[mistaken][5] + 1) % len(CLASS_NAMES)]]
    after[alarmed].append([4.0, 4.0, 30.0, 30.0, 0.7, 1.0])
    after[loose] = [[boxes[loose][0] + 16, *boxes[loose][1:]]]
    scores = [_scored(store, one, images, rows) for one, rows in ((old, before), (new, after))]
    return comparisons.keep(store, Truth.of(images), scores[0], scores[1], CLASS_NAMES, run_id)


def _found(image: LabelledImage) -> Row:
    (label,) = image.labels
    return [*label.xyxy_in(image.width_px, image.height_px), 0.9, float(label.class_id)]


def _scored(
    store: Store, checkpoint: Checkpoint, images: ImageSet, rows: Sequence[Sequence[Row]]
) -> Evaluation:
    detections = Detections.of(images.digest, rows)
    confidence = store.settings.deploy_confidence
    return evaluations.record(
        store,
        checkpoint.id,
        Score(
            set_name=images.name,
            set_digest=images.digest,
            image_count=len(images.images),
            metrics={},
            per_class=(),
        ),
        image_size=DEFAULT_IMAGE_SIZE,
        figures=figures_of(Truth.of(images), detections, class_names=CLASS_NAMES, confidence=confidence),
        detections=detections,
    )
