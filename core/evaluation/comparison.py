"""Two checkpoints on the same images: how each figure changed, and how sure that is.

Paired bootstrap (Efron and Tibshirani, 1993, "An introduction to the bootstrap"): the images, or their
groups where they are known, are drawn anew with replacement many times, both checkpoints are scored on each
draw, and the spread of the differences is what chance alone can do.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from core.evaluation.bootstrap import Floats, draw, tally
from core.evaluation.coco import match, require_one_digest
from core.evaluation.detections import Detections, Truth
from core.evaluation.intervals import Change, change_of, holm

RESAMPLES = 1_000
# With fewer, the smallest p-value that resampling can show would not survive Holm's correction.
_RESAMPLES_A_CLASS = 50
_SEED = 1337
METRICS = {
    "ap50_95": "AP50-95", "ap50": "AP50", "precision": "Precision", "recall": "Recall", "f1": "F1",
}  # fmt: skip
"""What each field of `Changes` is called."""


class Changes(BaseModel):
    """How each metric changed; precision, recall and F1 are those at the deploy threshold, at IoU 0.50."""

    model_config = ConfigDict(frozen=True)

    ap50_95: Change
    ap50: Change
    precision: Change
    recall: Change
    f1: Change


class ClassChanges(Changes):
    """One class' changes.

    Attributes:
        class_id: Position in the class map.
        class_name: Its name.
        box_count: Boxes of the class in the set.
        image_count: Images with such a box.
        p_holm: p-value of the change of AP50-95 after Holm's correction over all classes with a box: with
            many classes one of them seems to change by chance.
    """

    class_id: int
    class_name: str
    box_count: int
    image_count: int
    p_holm: float | None


class Comparison(BaseModel):
    """Two checkpoints on one set.

    Attributes:
        set_name: Such as `test`.
        set_digest: Of the set that both were scored on.
        image_count: Its images.
        group_count: Its independent groups of images, which is what counts as evidence.
        box_count: Its boxes.
        confidence: The deploy threshold.
        resamples: Bootstrap resamples behind each interval.
        overall: AP is the mean over classes; precision, recall and F1 count all classes together.
        per_class: Only classes with a box in the set.
    """

    model_config = ConfigDict(frozen=True)

    set_name: str
    set_digest: str
    image_count: int
    group_count: int
    box_count: int
    confidence: float
    resamples: int
    overall: Changes
    per_class: tuple[ClassChanges, ...]

    def known_changes(self) -> list[tuple[str, Change]]:
        """Each change that is known under its name: overall, then AP50-95 of each class."""
        named = [(name, getattr(self.overall, field)) for field, name in METRICS.items()]
        named += [(f"{one.class_name}: {METRICS['ap50_95']}", one.ap50_95) for one in self.per_class]
        return [(name, change) for name, change in named if change.delta is not None]


def compare(
    truth: Truth,
    baseline: Detections,
    candidate: Detections,
    *,
    class_names: Sequence[str],
    confidence: float,
    resamples: int | None = None,
    seed: int = _SEED,
) -> Comparison:
    """Compare two checkpoints on one set, overall and for each class.

    Args:
        truth: The labels of the set.
        baseline: What the old checkpoint saw.
        candidate: What the new one saw.
        class_names: Ids are positions.
        confidence: The deploy threshold, from 0 to 1.
        resamples: Bootstrap resamples; 1,000 when left out, or more where there are many classes.
        seed: Seed of the draw: the same seed gives the same intervals.

    Raises:
        DifferentSets: If the detections are not of this set.
    """
    require_one_digest([truth.set_digest, baseline.set_digest, candidate.set_digest])
    resamples = resamples or max(RESAMPLES, _RESAMPLES_A_CLASS * len(class_names))
    both = [match(truth, seen, class_names) for seen in (baseline, candidate)]
    once, drawn = np.ones((1, truth.image_count)), draw(truth.groups, resamples, seed)
    tallies = [tally(classes, weights, confidence) for weights in (once, drawn) for classes in both]
    return Comparison(
        set_name=truth.set_name,
        set_digest=truth.set_digest,
        image_count=truth.image_count,
        group_count=truth.group_count,
        box_count=len(truth.class_id),
        confidence=confidence,
        resamples=resamples,
        overall=Changes(**_changes([one.overall() for one in tallies], truth.group_count)),
        per_class=_per_class([one.per_class() for one in tallies], truth, class_names),
    )


def _changes(figures: Sequence[dict[str, Floats]], group_count: int) -> dict[str, Change]:
    """Of each metric, from the figures of old, new, old resampled and new resampled."""
    old, new, drawn_old, drawn_new = figures
    return {
        metric: change_of(
            float(old[metric][0]), float(new[metric][0]), drawn_new[metric] - drawn_old[metric], group_count
        )
        for metric in old
    }


def _per_class(
    figures: Sequence[dict[str, Floats]], truth: Truth, class_names: Sequence[str]
) -> tuple[ClassChanges, ...]:
    present = [int(class_id) for class_id in np.unique(truth.class_id)]
    changes = [
        _changes([_of_class(one, class_id) for one in figures], truth.group_count) for class_id in present
    ]
    corrected = holm([change["ap50_95"].p_value for change in changes])
    return tuple(
        ClassChanges(
            class_id=class_id,
            class_name=class_names[class_id],
            box_count=int((truth.class_id == class_id).sum()),
            image_count=len(np.unique(truth.image[truth.class_id == class_id])),
            p_holm=p_holm,
            **change,
        )
        for class_id, change, p_holm in zip(present, changes, corrected, strict=True)
    )


def _of_class(figures: dict[str, Floats], class_id: int) -> dict[str, Floats]:
    return {metric: values[:, class_id] for metric, values in figures.items()}
