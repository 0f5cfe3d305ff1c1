"""What two checkpoints see differently, for those who look at it: in order, in words, and as boxes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.dataset.images import LabelledImage
from core.evaluation.image_changes import Claim, Difference, ImageChanges, Kind

Look = Literal["label", "old", "new"]

IN_WORDS: dict[Kind, str] = {
    "lost": "no longer found",
    "class_wrong": "now takes it for another class",
    "worse_box": "box fits worse",
    "false_alarm": "new false alarm",
    "found": "now found",
    "class_right": "class is right now",
    "better_box": "box fits better",
    "alarm_gone": "false alarm is gone",
}


@dataclass(frozen=True)
class DrawnBox:
    """A box to draw: corners in pixels of the upright image, what is written at it, and how it looks."""

    xyxy: Sequence[float]
    text: str
    look: Look


def worse(changes: Iterable[ImageChanges]) -> list[ImageChanges]:
    """The images in which something got worse, the most harmful first."""
    return sorted((one for one in changes if one.harm > 0), key=lambda one: -one.harm)


def better(changes: Iterable[ImageChanges]) -> list[ImageChanges]:
    """The images in which something got better, the most helpful first."""
    return sorted((one for one in changes if one.gain > 0), key=lambda one: -one.gain)


def in_words(difference: Difference, class_names: Sequence[str]) -> str:
    """Such as `hot joint: no longer found`."""
    return f"{class_names[difference.class_id]}: {IN_WORDS[difference.kind]}"


def labels_of(image: LabelledImage, class_names: Sequence[str]) -> list[DrawnBox]:
    """The boxes that an image is labelled with."""
    return [
        DrawnBox(label.xyxy_in(image.width_px, image.height_px), class_names[label.class_id], "label")
        for label in image.labels
    ]


def claims_of(difference: Difference, class_names: Sequence[str]) -> list[DrawnBox]:
    """What the two claim there, the old before the new; one of them may claim nothing."""
    sides: tuple[tuple[Look, Claim | None], ...] = (("old", difference.old), ("new", difference.new))
    return [
        DrawnBox(claim.xyxy, f"{class_names[claim.class_id]} {claim.confidence:.2f}", look)
        for look, claim in sides
        if claim
    ]
