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


def compare(expected: Sequence[Sequence[Seen]], found: Sequence[Sequence[Seen]]) -> Parity:
    """Hold detections against each other, image by image.

    Each expected detection, surest first, belongs with the nearest found one of its class that overlaps it by
    half (IoU) and belongs with no other.

    Args:
        expected: For each image its detections.
        found: Of the same images in the same order.
    """
    pairs: list[tuple[Seen, Seen]] = []
    for wanted, seen in zip(expected, found, strict=True):
        pairs += _pairs(wanted, seen)
    wanted_count, found_count = sum(map(len, expected)), sum(map(len, found))
    return Parity(
        image_count=len(expected),
        detection_count=wanted_count,
        missing_count=wanted_count - len(pairs),
        extra_count=found_count - len(pairs),
        most_confidence_difference=max((abs(a["confidence"] - b["confidence"]) for a, b in pairs), default=0),
        most_corner_difference_px=max((_corner_difference(a, b) for a, b in pairs), default=0),
    )


def _pairs(wanted: Sequence[Seen], found: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    left = list(found)
    for one in sorted(wanted, key=lambda one: -one["confidence"]):
        near = [other for other in left if other["class_id"] == one["class_id"]]
        best = max(near, key=lambda other: _iou(one["xyxy"], other["xyxy"]), default=None)
        if best is not None and _iou(one["xyxy"], best["xyxy"]) >= _SAME_PLACE_IOU:
            left.remove(best)
            yield one, best


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
