"""What a difference seen in a set says about the truth: intervals, p-values, and Holm's correction."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from pydantic import BaseModel, ConfigDict

from core.evaluation.bootstrap import Floats

_NORMAL = NormalDist()


class Change(BaseModel):
    """A figure of both checkpoints, shares from 0 to 1, and what its change may be in truth.

    Attributes:
        old: The baseline's; none where it is undefined, as recall is without a box.
        new: The candidate's.
        delta: `new - old`.
        low_95: Lower end of the 95 % interval of the change; none where too little is known for one.
        high_95: Its upper end.
        low_90: Lower end of the 90 % interval.
        high_90: Its upper end.
        p_value: How often chance alone would show a change at least this large, from 0 to 1.
    """

    model_config = ConfigDict(frozen=True)

    old: float | None
    new: float | None
    delta: float | None
    low_95: float | None
    high_95: float | None
    low_90: float | None
    high_90: float | None
    p_value: float | None


def change_of(old: float, new: float, deltas: Floats, group_count: int) -> Change:
    """One figure's change, with intervals from the differences under resampling.

    The intervals are percentiles of the differences, moved outwards for few groups as Hesterberg proposes
    (2015, "What teachers should know about the bootstrap", section 5.3), because the bare percentile interval
    is too narrow there.

    Args:
        old: The baseline's figure; not a number where undefined.
        new: The candidate's.
        deltas: `new - old` in each resample, shape `(resamples,)`.
        group_count: Independent groups that were drawn from.
    """
    known = deltas[~np.isnan(deltas)]
    # Where a class was not drawn at all in most resamples, the others are no fair picture.
    is_enough = group_count > 1 and len(known) > len(deltas) / 2 and not math.isnan(new - old)
    ends: dict[str, float | None] = dict.fromkeys(("low_95", "high_95", "low_90", "high_90"))
    if is_enough:
        for percent in (95, 90):
            tail = _expanded_tail((100 - percent) / 200, group_count)
            low, high = np.quantile(known, (tail, 1 - tail))
            ends |= {f"low_{percent}": float(low), f"high_{percent}": float(high)}
    return Change(
        old=_defined(old),
        new=_defined(new),
        delta=_defined(new - old),
        p_value=_p_value(known) if is_enough else None,
        **ends,
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _expanded_tail(tail: float, group_count: int) -> float:
    spread = math.sqrt(group_count / (group_count - 1)) * _student_t(tail, group_count - 1)
    return _NORMAL.cdf(-spread)


def _student_t(tail: float, degrees: int) -> float:
    """Upper quantile of Student's t; Abramowitz and Stegun 26.7.5, good to a hundredth from 5 degrees on."""
    z: float = _NORMAL.inv_cdf(1 - tail)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(degrees) ** power for power, term in enumerate(terms, 1))


def _p_value(deltas: Floats) -> float:
    """Two-sided; never 0, since a thousand draws cannot show less than a thousandth."""
    smaller_side = min((deltas <= 0).sum(), (deltas >= 0).sum())
    return min(1.0, 2 * (float(smaller_side) + 1) / (len(deltas) + 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for being several (Holm, 1979); what is undefined stays so and does not count."""
    order = sorted((p, position) for position, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, position) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        corrected[position] = highest
    return corrected
