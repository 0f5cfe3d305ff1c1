"""What a candidate is judged by, what is demanded of it, and what a check comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.evaluation.comparison import Comparison
from core.schemas import Promotion

Effect = Literal["fine", "open", "fail"]


@dataclass(frozen=True)
class Policy:
    """What is demanded of a candidate; shares from 0 to 1.

    Attributes:
        promotion: When it is published: `no_regression`, `proven_gain` or `manual`.
        margin: mAP50-95 that may be lost on the base test set.
        class_margin: AP50-95 that a class may lose.
        decay_budget: mAP50-95 that may be lost in all, against the best of the last champions and the
            baseline.
        recall_floors: For classes that matter most, by name, the recall that a candidate must keep.
    """

    promotion: Promotion = "no_regression"
    margin: float = 0.01
    class_margin: float = 0.03
    decay_budget: float = 0.02
    recall_floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """What a candidate is judged by.

    Attributes:
        base: Champion and candidate on the base test set.
        holdout: The same on the feedback that is kept for judging, if there is any.
        ancestors: Earlier checkpoints and the candidate on the base test set, by what to call them, such as
            "the baseline".
    """

    base: Comparison
    holdout: Comparison | None = None
    ancestors: Mapping[str, Comparison] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What one check came to.

    Attributes:
        effect: `fine`, `open` or `fail`.
        sentence: In words and numbers.
        is_loss: Whether more was lost than is allowed, be it chance or not.
        images_needed: Further images that would close an open question, where more images would.
    """

    effect: Effect
    sentence: str
    is_loss: bool = False
    images_needed: int | None = None
