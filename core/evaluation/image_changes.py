"""Image by image: what the old weights found and the new ones lose, and the other way round.

Every box that there is has a credit under each checkpoint, from 0 to 1: nothing if it is missed, a quarter
if it is found with a wrong class, half if it is found but loosely, and three quarters plus a quarter of its
IoU if it is found as COCO demands. A false alarm costs half a credit. All of it is at the deploy threshold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from core.evaluation.coco import require_one_digest
from core.evaluation.detections import Detections, FloatArray, IntArray, Truth

Kind = Literal[
    "lost", "class_wrong", "worse_box", "false_alarm", "found", "class_right", "better_box", "alarm_gone"
]
State = Literal["missed", "wrong_class", "loose", "found"]

_FOUND_IOU, _LOOSE_IOU = 0.5, 0.1
_CREDIT: dict[State, float] = {"missed": 0.0, "wrong_class": 0.25, "loose": 0.5, "found": 0.75}
_IOU_CREDIT = 0.25
_FALSE_ALARM = 0.5
# Below that a box has only moved by what one annotator differs from another.
_IOU_THAT_COUNTS = 0.1


class Claim(BaseModel):
    """A detection at or above the deploy threshold; `iou` is that with the box it meets, if it meets one."""

    model_config = ConfigDict(frozen=True)

    xyxy: tuple[float, float, float, float]
    class_id: int
    confidence: float
    iou: float | None


class Difference(BaseModel):
    """One thing that the two checkpoints see differently.

    Attributes:
        kind: Harm: `lost`, `class_wrong`, `worse_box`, `false_alarm`. Gain: `found`, `class_right`,
            `better_box`, `alarm_gone`.
        class_id: Of the box that there is; of a false alarm, the class that was claimed.
        xyxy: The box that there is, in pixels; none of a false alarm.
        old: What the baseline claimed for it, if anything.
        new: What the candidate claims.
        harm: Credit lost times the weight of the class; below 0 is a gain.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    class_id: int
    xyxy: tuple[float, float, float, float] | None
    old: Claim | None
    new: Claim | None
    harm: float


class ImageChanges(BaseModel):
    """An image in which the two differ.

    Attributes:
        image: Position in the set.
        sha256: Of its bytes.
        harm: Sum over what got worse.
        gain: Sum over what got better.
        differences: The most harmful first.
    """

    model_config = ConfigDict(frozen=True)

    image: int
    sha256: str
    harm: float
    gain: float
    differences: tuple[Difference, ...]


def image_changes(
    truth: Truth,
    baseline: Detections,
    candidate: Detections,
    *,
    confidence: float,
    class_weights: Mapping[int, float],
) -> tuple[ImageChanges, ...]:
    """The images in which two checkpoints differ, the most harmful first.

    Args:
        truth: The labels of the set.
        baseline: What the old checkpoint saw.
        candidate: What the new one saw.
        confidence: The deploy threshold, from 0 to 1.
        class_weights: How much a class' boxes matter, by class id; 1 where it is not named.

    Raises:
        DifferentSets: If the detections are not of this set.
    """
    require_one_digest([truth.set_digest, baseline.set_digest, candidate.set_digest])
    claims = [seen.where(seen.confidence >= confidence) for seen in (baseline, candidate)]
    rows = [_rows_by_image(image, truth.image_count) for image in (truth.image, *(c.image for c in claims))]
    found = []
    for image, (boxes, old_rows, new_rows) in enumerate(zip(*rows, strict=True)):
        xyxy, class_id = truth.xyxy[boxes], truth.class_id[boxes]
        old, new = (
            _Reading.of(xyxy, class_id, seen, chosen)
            for seen, chosen in zip(claims, (old_rows, new_rows), strict=True)
        )
        differences = [*_at_boxes(xyxy, class_id, old, new, class_weights), *_alarms(old, new, class_weights)]
        if differences:
            found.append(_summed(image, truth.sha256[image], differences))
    return tuple(sorted(found, key=lambda one: (-one.harm, -one.gain, one.image)))


def _rows_by_image(image: IntArray, image_count: int) -> list[IntArray]:
    order = np.argsort(image, kind="stable")
    return np.split(order, np.searchsorted(image[order], np.arange(1, image_count)))


def _summed(image: int, sha256: str, differences: Sequence[Difference]) -> ImageChanges:
    return ImageChanges(
        image=image,
        sha256=sha256,
        harm=sum(one.harm for one in differences if one.harm > 0),
        gain=-sum(one.harm for one in differences if one.harm < 0),
        differences=tuple(sorted(differences, key=lambda one: -one.harm)),
    )


@dataclass(frozen=True)
class _Reading:
    """How one checkpoint reads one image: state and claim of each box, and claims that meet none."""

    states: list[State]
    claims: list[Claim | None]
    alarms: list[Claim]

    @classmethod
    def of(cls, xyxy: FloatArray, class_id: IntArray, seen: Detections, rows: IntArray) -> "_Reading":
        rows = rows[np.argsort(-seen.confidence[rows], kind="stable")]
        iou = pairwise_iou(seen.xyxy[rows], xyxy)
        is_same = seen.class_id[rows][:, None] == class_id[None]
        states: list[State] = ["missed"] * len(xyxy)
        claims: list[Claim | None] = [None] * len(xyxy)
        free_rows, free_boxes = np.ones(len(rows), bool), np.ones(len(xyxy), bool)
        rounds: tuple[tuple[State, NDArray[np.bool_]], ...] = (
            ("found", is_same & (iou >= _FOUND_IOU)),
            ("wrong_class", ~is_same & (iou >= _FOUND_IOU)),
            ("loose", is_same & (iou >= _LOOSE_IOU)),
        )
        for state, is_match in rounds:
            for row in range(len(rows)):
                open_iou = np.where(is_match[row] & free_boxes, iou[row], -1.0)
                if free_rows[row] and open_iou.max(initial=-1.0) >= 0:
                    box = int(open_iou.argmax())
                    states[box], claims[box] = state, _claim(seen, rows[row], iou[row, box])
                    free_rows[row] = free_boxes[box] = False
        return cls(states, claims, [_claim(seen, row, None) for row in rows[free_rows]])


def _claim(seen: Detections, row: int, iou: float | None) -> Claim:
    x_min, y_min, x_max, y_max = (round(float(value), 2) for value in seen.xyxy[row])
    return Claim(
        xyxy=(x_min, y_min, x_max, y_max),
        class_id=int(seen.class_id[row]),
        confidence=round(float(seen.confidence[row]), 4),
        iou=None if iou is None else round(float(iou), 4),
    )


def pairwise_iou(some: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union of boxes given as `xyxy`, shapes `(n, 4)` and `(m, 4)`; gives `(n, m)`."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    overlap: FloatArray = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (some, others)]
    union = areas[0][:, None] + areas[1][None] - overlap
    iou: FloatArray = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return iou


def _at_boxes(
    xyxy: FloatArray, class_id: IntArray, old: _Reading, new: _Reading, weights: Mapping[int, float]
) -> Iterator[Difference]:
    for box in range(len(xyxy)):
        kind = _kind(old, new, box)
        if kind is not None:
            weight = weights.get(int(class_id[box]), 1.0)
            x_min, y_min, x_max, y_max = (round(float(value), 2) for value in xyxy[box])
            yield Difference(
                kind=kind,
                class_id=int(class_id[box]),
                xyxy=(x_min, y_min, x_max, y_max),
                old=old.claims[box],
                new=new.claims[box],
                harm=weight * (_credit(old, box) - _credit(new, box)),
            )


def _credit(reading: _Reading, box: int) -> float:
    state, claim = reading.states[box], reading.claims[box]
    iou = claim.iou if claim and claim.iou is not None and state == "found" else 0.0
    return _CREDIT[state] + _IOU_CREDIT * iou


def _kind(old: _Reading, new: _Reading, box: int) -> Kind | None:
    """What became of a box, or none if nothing to speak of did."""
    before, after = old.states[box], new.states[box]
    gain = _credit(new, box) - _credit(old, box)
    if before == after and abs(gain) < _IOU_CREDIT * _IOU_THAT_COUNTS:
        return None
    worse = before if gain > 0 else after
    if worse == "missed":
        return "found" if gain > 0 else "lost"
    if worse == "wrong_class":
        return "class_right" if gain > 0 else "class_wrong"
    return "better_box" if gain > 0 else "worse_box"


def _alarms(old: _Reading, new: _Reading, weights: Mapping[int, float]) -> Iterator[Difference]:
    for claim in _without_counterpart(new.alarms, old.alarms):
        harm = _FALSE_ALARM * weights.get(claim.class_id, 1.0)
        yield Difference(
            kind="false_alarm", class_id=claim.class_id, xyxy=None, old=None, new=claim, harm=harm
        )
    for claim in _without_counterpart(old.alarms, new.alarms):
        gain = _FALSE_ALARM * weights.get(claim.class_id, 1.0)
        yield Difference(
            kind="alarm_gone", class_id=claim.class_id, xyxy=None, old=claim, new=None, harm=-gain
        )


def _without_counterpart(claims: Sequence[Claim], others: Sequence[Claim]) -> list[Claim]:
    """Claims that no other one equals: each other stands for one claim of its class that it overlaps."""
    free = list(others)
    alone = []
    for claim in claims:
        twin = next((other for other in free if _are_twins(claim, other)), None)
        if twin is None:
            alone.append(claim)
        else:
            free.remove(twin)
    return alone


def _are_twins(one: Claim, other: Claim) -> bool:
    iou = pairwise_iou(np.array([one.xyxy]), np.array([other.xyxy]))[0, 0]
    return one.class_id == other.class_id and bool(iou >= _FOUND_IOU)
