"""What changed in an image, as marks: what old saw on the left, what became of it on the right."""

from collections.abc import Sequence

from core.evaluation.image_changes import Claim, Difference, Kind
from pages._ui.before_after import Look, Mark

_WORDS: dict[Kind, str] = {
    "lost": "lost",
    "class_wrong": "wrong class",
    "worse_box": "worse box",
    "false_alarm": "new false alarm",
    "found": "found",
    "class_right": "class is right",
    "better_box": "better box",
    "alarm_gone": "false alarm gone",
}


def marks_of(difference: Difference, class_names: Sequence[str]) -> tuple[list[Mark], list[Mark]]:
    """Marks of one difference for the left and for the right."""
    old, new = difference.old, difference.new
    left = [Mark(old.xyxy, _claimed(old, class_names), "old")] if old else []
    look: Look = "harm" if difference.harm > 0 else "gain"
    # Where new claims nothing, that is written where something was.
    place = new.xyxy if new else difference.xyxy or (old.xyxy if old else None)
    what = _claimed(new, class_names) if new else class_names[difference.class_id]
    right = [Mark(place, f"{_WORDS[difference.kind]}: {what}", look)] if place else []
    if difference.xyxy is None:
        return left, right
    # Without its name: it is the same as in what is said, or said there to be another.
    label = Mark(difference.xyxy, "", "label")
    return [label, *left], [label, *right] if new else right


def _claimed(claim: Claim, class_names: Sequence[str]) -> str:
    return f"{class_names[claim.class_id]} {claim.confidence:.2f}"
