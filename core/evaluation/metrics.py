"""The figures of one checkpoint on one frozen set."""

from typing import Any

from pydantic import BaseModel, ConfigDict

MAP50_95 = "metrics/mAP50-95(B)"
MAP50 = "metrics/mAP50(B)"
PRECISION = "metrics/precision(B)"
RECALL = "metrics/recall(B)"
FITNESS = "fitness"


class ClassScore(BaseModel):
    """One class' figures, shares from 0 to 1; only classes with a box in the set have one.

    Precision and recall are at the confidence that maximises the mean F1, as Ultralytics reports them.
    """

    model_config = ConfigDict(frozen=True)

    class_id: int
    class_name: str
    box_count: int
    precision: float
    recall: float
    ap50: float
    ap50_95: float


class Score(BaseModel):
    """Figures of a checkpoint on a set; comparable only under the same `set_digest`.

    Attributes:
        metrics: Under the Ultralytics keys, shares from 0 to 1, plus `fitness`.
        per_class: One entry for each class with at least one box in the set.
    """

    model_config = ConfigDict(frozen=True)

    set_name: str
    set_digest: str
    image_count: int
    metrics: dict[str, float]
    per_class: tuple[ClassScore, ...]

    @property
    def map50_95(self) -> float:
        """Mean over classes and IoU thresholds 0.50 to 0.95 of the average precision, 0 to 1."""
        return self.metrics[MAP50_95]

    def rows(self) -> list[dict[str, Any]]:
        """`per_class` as JSON."""
        return [row.model_dump() for row in self.per_class]
