"""Whether two readers of the same weights see the same."""

from collections.abc import Iterator, Sequence
from typing import TypedDict

from pydantic import BaseModel, Field

_SAME_PLACE_IOU = 0.5


class Seen(TypedDict):
    """A detection: `xyxy` in pixels of the image, the class, and the confidence, 0 to 1."""

    xyxy: list[float]
    class_id: int
    confidence: float


class Parity(BaseModel):
    """How far what was found is from what was expected, over all images."""

    image_count: int
    detection_count: int = Field(description="Detections that were expected.")
    missing_count: int = Field(
        description="Expected ones for which none of the class was found in the place."
    )
    extra_count: int = Field(description="Found ones that were not expected.")
    most_confidence_difference: float = Field(description="Of two that belong together, 0 to 1.")
    most_corner_difference_px: float = Field(description="Of two that belong together, in image pixels.")


def compare(
    expected: Sequence[Sequence[Seen]], found: Sequence[Sequence[Seen]], *, confidence: float = 0.0
) -> Parity:
    """Hold detections against each other, image by image.

    Each expected detection, surest first, belongs with the nearest found one of its class that overlaps it by
    half (IoU) and belongs with no other.

    Args:
        expected: For each image its detections.
        found: Of the same images in the same order.
        confidence: What is less sure may be missing or too much; it only stands by for what is not.
    """
    pairs = [
        pair
        for wanted, seen in zip(expected, found, strict=True)
        for pair in _pairs(wanted, seen, confidence)
    ]
    both = [(one, other) for one, other in pairs if one and other]
    wanted_count = sum(one["confidence"] >= confidence for wanted in expected for one in wanted)
    return Parity(
        image_count=len(expected),
        detection_count=wanted_count,
        missing_count=sum(other is None for _, other in pairs),
        extra_count=sum(one is None for one, _ in pairs),
        most_confidence_difference=max((abs(a["confidence"] - b["confidence"]) for a, b in both), default=0),
        most_corner_difference_px=max((_corner_difference(a, b) for a, b in both), default=0),
    )


def _pairs(
    wanted: Sequence[Seen], found: Sequence[Seen], confidence: float
) -> Iterator[tuple[Seen | None, Seen | None]]:
    """What belongs together, and alone what belongs with nothing, where one of the two is sure enough."""
    left = list(found)
    for one in sorted(wanted, key=lambda one: -one["confidence"]):
        other = _nearest(one, left)
        if other is not None:
            left.remove(other)
        if max(one["confidence"], other["confidence"] if other else 0) >= confidence:
            yield one, other
    for other in left:
        if other["confidence"] >= confidence:
            yield None, other


def _nearest(one: Seen, others: Sequence[Seen]) -> Seen | None:
    near = [other for other in others if other["class_id"] == one["class_id"]]
    best = max(near, key=lambda other: _iou(one["xyxy"], other["xyxy"]), default=None)
    return best if best is not None and _iou(one["xyxy"], best["xyxy"]) >= _SAME_PLACE_IOU else None


def _corner_difference(one: Seen, other: Seen) -> float:
    return max(abs(a - b) for a, b in zip(one["xyxy"], other["xyxy"], strict=True))


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes `xyxy`."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = _area(a) + _area(b) - width * height
    return width * height / union if union > 0 else 0.0


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
