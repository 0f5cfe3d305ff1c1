"""What the gate looks at: each check comes to findings in words and numbers."""

import math
from collections.abc import Iterator

from core.evaluation.comparison import ClassChanges, Comparison
from core.evaluation.intervals import Change
from core.evaluation.policy import Evidence, Finding, Policy

# Below, intervals from resampled groups are too narrow (Cameron, Gelbach and Miller, 2008, "Bootstrap-based
# improvements for inference with clustered errors", call 5 to 30 groups few).
FEW_GROUPS = 30
FEW_BOXES = 30
MOST_IMAGES_NEEDED = 10_000
# The change that a set of one group could show; a hundred show a tenth of it, 5 points.
_DETECTABLE = 0.5
_SIGNIFICANT = 0.05
_NORMAL_95 = 1.96
_WHERE = {"test": "base test images", "holdout": "held-out feedback images"}


def check_base_test(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """What the detector knew: a loss beyond the margin is to be ruled out at 95 %."""
    change, floor = evidence.base.overall.ap50_95, -policy.margin
    if change.delta is None:
        yield Finding("open", "The base test set has no box: nothing can be said about a loss.")
        return
    figures = _in_words(change, evidence.base)
    allowed = f"the {_points(policy.margin)} points that may be lost"
    if _is_shown_below(change, evidence.base, floor):
        yield Finding("fail", f"{figures}: more than {allowed}.", is_loss=True)
    elif _is_shown_above(change, evidence.base, floor, change.low_95):
        yield Finding("fine", f"{figures}: a loss beyond {allowed} is ruled out.")
    else:
        is_loss = change.delta < floor
        seen = (
            f"more than {allowed}, though it may be chance"
            if is_loss
            else f"no loss beyond {allowed} is seen, but none is ruled out"
        )
        needed = _images_needed(change, evidence.base, floor, change.low_95, change.high_95)
        yield Finding("open", f"{figures}: {seen}. {_would_take(needed)}", is_loss, needed)


def check_holdout(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """What was to be learned: a gain on held-out feedback is to be proven at 90 %."""
    del policy
    compared = evidence.holdout
    change = compared.overall.ap50_95 if compared else None
    if compared is None or change is None or change.delta is None:
        yield Finding("open", "No feedback is held out for judging yet, so no gain on it can be proven.")
        return
    figures = _in_words(change, compared)
    if _is_shown_below(change, compared, 0.0):
        yield Finding("fail", f"{figures}: worse.", is_loss=True)
    elif _is_shown_above(change, compared, 0.0, change.low_90, is_gain=True):
        yield Finding("fine", f"{figures}: a gain is proven.")
    else:
        needed = _images_needed(change, compared, 0.0, change.low_90, change.high_90)
        yield Finding("open", f"{figures}: no gain is proven. {_would_take(needed)}", images_needed=needed)


def check_classes(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """No class with enough boxes may lose more than its margin, chance ruled out over all classes."""
    for compared in filter(None, (evidence.base, evidence.holdout)):
        for row in compared.per_class:
            if _lost(row, compared, policy.class_margin):
                yield Finding("fail", _class_in_words(row, compared, policy.class_margin), is_loss=True)


def _lost(row: ClassChanges, compared: Comparison, margin: float) -> bool:
    is_enough = row.box_count >= FEW_BOXES and compared.group_count >= FEW_GROUPS
    delta = row.ap50_95.delta
    is_drop = delta is not None and delta < -margin
    return is_enough and is_drop and row.p_holm is not None and row.p_holm < _SIGNIFICANT


def _class_in_words(row: ClassChanges, compared: Comparison, margin: float) -> str:
    change = row.ap50_95
    return (
        f"Class {row.class_name}: AP50-95 {_points(change.old)} → {_points(change.new)} "
        f"({_signed(change.delta)} points, p = {row.p_holm:.3f} over all classes) on {row.box_count} boxes "
        f"of the {_WHERE[compared.set_name]}: more than the {_points(margin)} points that a class may lose."
    )


def check_recall_floors(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Classes that matter most keep the recall that is asked for them, at the deploy threshold."""
    compared = [one for one in (evidence.base, evidence.holdout) if one]
    for name, floor in policy.recall_floors.items():
        rows = [(row, one) for one in compared for row in one.per_class if row.class_name == name]
        if not rows:
            yield Finding("open", f"No image shows class {name}: its recall floor cannot be checked.")
        for row, one in rows:
            yield from _below_floor(row, one, floor)


def _below_floor(row: ClassChanges, compared: Comparison, floor: float) -> Iterator[Finding]:
    old, new = row.recall.old, row.recall.new
    # What the champion was short of already is no reason to keep it.
    if old is None or new is None or new >= floor or new >= old:
        return
    sentence = (
        f"Class {row.class_name}: recall {_points(old)} → {_points(new)} % of {row.box_count} boxes of the "
        f"{_WHERE[compared.set_name]}, below its floor of {_points(floor)} %"
    )
    if _wilson_high(new, row.box_count) < floor:
        yield Finding("fail", f"{sentence}.", is_loss=True)
    else:
        yield Finding("open", f"{sentence}, though it may be chance.", is_loss=True)


def _wilson_high(share: float, count: int) -> float:
    """Upper end of the 95 % interval of a share (Wilson, 1927)."""
    square = _NORMAL_95**2 / count
    spread = math.sqrt(share * (1 - share) / count + square / (4 * count))
    return (share + square / 2 + _NORMAL_95 * spread) / (1 + square)


def check_decay(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Small losses may not add up: the candidate against earlier checkpoints, on the base test set."""
    for name, compared in evidence.ancestors.items():
        change, floor = compared.overall.ap50_95, -policy.decay_budget
        if change.delta is None or change.delta >= floor:
            continue
        sentence = (
            f"Against {name}: {_in_words(change, compared)}: more than the {_points(policy.decay_budget)} "
            "points that may be lost in all"
        )
        if _is_shown_below(change, compared, floor):
            yield Finding("fail", f"{sentence}.", is_loss=True)
        else:
            yield Finding("open", f"{sentence}, though it may be chance.", is_loss=True)


def _is_shown_below(change: Change, compared: Comparison, floor: float) -> bool:
    is_below = change.high_95 is not None and change.high_95 < floor
    return is_below and _is_large_enough(change, compared)


def _is_shown_above(
    change: Change, compared: Comparison, floor: float, low: float | None, *, is_gain: bool = False
) -> bool:
    is_enough = compared.group_count >= FEW_GROUPS or (is_gain and _is_large_enough(change, compared))
    return is_enough and low is not None and low > floor


def _is_large_enough(change: Change, compared: Comparison) -> bool:
    """Few groups tell only a change that is larger than what so few can be trusted with."""
    detectable = _DETECTABLE / math.sqrt(compared.group_count)
    return compared.group_count >= FEW_GROUPS or abs(change.delta or 0.0) > detectable


def _images_needed(
    change: Change, compared: Comparison, floor: float, low: float | None, high: float | None
) -> int:
    """Further images after which the interval would lie on one side of the floor, if the change stays.

    An interval shrinks with the square root of the number of images.
    """
    delta, images_a_group = change.delta or 0.0, compared.image_count / compared.group_count
    needed = max(0.0, FEW_GROUPS - compared.group_count) * images_a_group
    if low is not None and high is not None:
        half_width = delta - low if delta > floor else high - delta
        distance = abs(delta - floor)
        shrink = half_width / distance if distance else math.inf
        needed = max(needed, min(compared.image_count * (shrink**2 - 1), MOST_IMAGES_NEEDED))
    return max(1, min(math.ceil(needed), MOST_IMAGES_NEEDED))


def _would_take(needed: int) -> str:
    if needed >= MOST_IMAGES_NEEDED:
        return f"To tell would take more than {MOST_IMAGES_NEEDED:,} more images."
    return f"To tell would take about {needed:,} more images."


def _in_words(change: Change, compared: Comparison) -> str:
    known = change.low_95 is not None and change.high_95 is not None
    interval = f"; 95 % interval {_signed(change.low_95)} to {_signed(change.high_95)}" if known else ""
    groups = f" in {compared.group_count} groups" if compared.group_count < compared.image_count else ""
    return (
        f"mAP50-95 {_points(change.old)} → {_points(change.new)} ({_signed(change.delta)} points{interval}) "
        f"on {compared.image_count} {_WHERE[compared.set_name]}{groups}"
    )


def _points(share: float | None) -> str:
    return f"{(share or 0.0) * 100:.1f}"


def _signed(share: float | None) -> str:
    return f"{(share or 0.0) * 100:+.1f}"
