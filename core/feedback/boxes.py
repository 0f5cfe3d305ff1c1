"""Checks posted detections against the class map and the image, and brings them into the stored form."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, NotRequired, TypedDict

from core.feedback.reasons import Refusal
from core.schemas import Box, Detection

# What rounding and drawing on a scaled canvas cost; more is a mistake that clipping would hide.
MAX_OVERHANG_PX = 2.0
MIN_SIDE_PX = 1.0
# Far finer than anybody draws, and coarse enough to swallow what is lost on the way through shares or
# percent: so a box is the same, and its dataset has the same digest, whichever format it came in. It is a
# power of two, because nobody writes numbers that would lie half-way between two of its lines.
_GRID_PER_PX = 2**20


class StoredDetection(TypedDict):
    """A checked detection as kept in a correction: `xyxy` in pixels of the upright image.

    A box that nobody drew, because the champion is confident of it, has an `origin` and a `confidence`.
    """

    xyxy: list[float]
    class_id: int
    origin: NotRequired[Literal["champion"]]
    confidence: NotRequired[float]


class PredictedDetection(TypedDict):
    """What a checkpoint sees: `xyxy` in pixels of the upright image, `confidence` from 0 to 1."""

    xyxy: list[float]
    class_id: int
    confidence: float


class Fault(NamedTuple):
    """What is wrong with a box: a reason code, and a sentence with the numbers."""

    code: str
    sentence: str


def is_drawn(detection: StoredDetection) -> bool:
    """Whether a person drew the box, and not the champion."""
    return "origin" not in detection


def faults(
    posted: Sequence[Detection], class_names: Sequence[str], width_px: int, height_px: int
) -> list[tuple[int, Fault]]:
    """What is wrong with boxes on an upright image of this size.

    Args:
        posted: The detections.
        class_names: The live model's class map; ids are positions.
        width_px: Width of the upright image.
        height_px: Height of the upright image.

    Returns:
        Number of the box, from 1, and its fault: `box_inverted`, `class_unknown`, `box_outside` or
        `box_too_small`. Corners and classes come first.
    """
    unseen = _each(posted, lambda detection: _unseen(detection, class_names))
    return unseen + _each(posted, lambda detection: _misfits(detection.box, width_px, height_px))


def fit(
    posted: Sequence[Detection], class_names: Sequence[str], width_px: int, height_px: int
) -> list[StoredDetection]:
    """Clip boxes that overhang a little, refuse those that overhang more.

    Args:
        posted: The detections.
        class_names: The live model's class map; ids are positions.
        width_px: Width of the upright image.
        height_px: Height of the upright image.

    Raises:
        Refusal: `box_inverted`, `class_unknown`, `box_outside` or `box_too_small`, naming every fault with
            its numbers.
    """
    found = faults(posted, class_names, width_px, height_px)
    if found:
        raise Refusal(found[0][1].code, told(found))
    return clip(posted, class_names, width_px, height_px)


def clip(
    posted: Sequence[Detection], class_names: Sequence[str], width_px: int, height_px: int
) -> list[StoredDetection]:
    """Put corners in order and clip to the image; boxes of which too little is left are left out.

    Args:
        posted: Detections of known classes.
        class_names: The live model's class map; ids are positions.
        width_px: Width of the upright image.
        height_px: Height of the upright image.
    """
    return [
        {
            "xyxy": list(on_grid(_clipped(one.box, width_px, height_px))),
            "class_id": _class_id(one, class_names),
        }
        for one in posted
        if _has_area(one.box, width_px, height_px)
    ]


def told(found: Sequence[tuple[int, Fault]]) -> str:
    """The faults in one line, each with the number of its box."""
    return " ".join(f"Box {number}: {fault.sentence}." for number, fault in found)


def on_grid(xyxy: Sequence[float]) -> tuple[float, float, float, float]:
    """Corners rounded to what a stored box may have, about a millionth of a pixel."""
    x_min, y_min, x_max, y_max = (round(edge * _GRID_PER_PX) / _GRID_PER_PX for edge in xyxy)
    return x_min, y_min, x_max, y_max


def _each(
    posted: Sequence[Detection], faults_of: Callable[[Detection], Iterator[Fault]]
) -> list[tuple[int, Fault]]:
    return [(number, fault) for number, one in enumerate(posted, 1) for fault in faults_of(one)]


def _unseen(detection: Detection, class_names: Sequence[str]) -> Iterator[Fault]:
    x_min, y_min, x_max, y_max = detection.box.xyxy
    if x_max <= x_min:
        yield Fault("box_inverted", f"x_max {x_max:g} is not above x_min {x_min:g}")
    if y_max <= y_min:
        yield Fault("box_inverted", f"y_max {y_max:g} is not above y_min {y_min:g}")
    if not _is_known(detection, class_names):
        given = detection.class_name if detection.class_id is None else detection.class_id
        known = ", ".join(f"{class_id} {name}" for class_id, name in enumerate(class_names))
        yield Fault("class_unknown", f"class {given} is not one of {known}")


def _is_known(detection: Detection, class_names: Sequence[str]) -> bool:
    if detection.class_id is None:
        return detection.class_name in class_names
    return detection.class_id < len(class_names)


def _class_id(detection: Detection, class_names: Sequence[str]) -> int:
    if detection.class_id is not None:
        return detection.class_id
    return list(class_names).index(detection.class_name or "")


def _misfits(box: Box, width_px: int, height_px: int) -> Iterator[Fault]:
    x_min, y_min, x_max, y_max = _in_order(box)
    left, top, right, bottom = _clipped(box, width_px, height_px)
    overhang_px = max(-x_min, -y_min, x_max - width_px, y_max - height_px)
    if overhang_px > MAX_OVERHANG_PX:
        numbers = f"({x_min:g}, {y_min:g}, {x_max:g}, {y_max:g})"
        image = f"the image of {width_px} x {height_px} px"
        yield Fault("box_outside", f"{numbers} leaves {image} by {overhang_px:g} px")
    elif not _has_area(box, width_px, height_px):
        yield Fault(
            "box_too_small",
            f"{right - left:g} x {bottom - top:g} px are left of it within the image, less than 1 px a side",
        )


def _has_area(box: Box, width_px: int, height_px: int) -> bool:
    left, top, right, bottom = _clipped(box, width_px, height_px)
    return min(right - left, bottom - top) >= MIN_SIDE_PX


def _clipped(box: Box, width_px: int, height_px: int) -> tuple[float, float, float, float]:
    x_min, y_min, x_max, y_max = _in_order(box)
    return max(x_min, 0.0), max(y_min, 0.0), min(x_max, float(width_px)), min(y_max, float(height_px))


def _in_order(box: Box) -> tuple[float, float, float, float]:
    x_min, y_min, x_max, y_max = box.xyxy
    return min(x_min, x_max), min(y_min, y_max), max(x_min, x_max), max(y_min, y_max)
