"""What is in an import, before any of it is taken: images, boxes, class names, and what is wrong."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import BaseModel, Field

from core.errors import InvalidRequest
from core.feedback.imports.archive import Archive
from core.feedback.imports.class_names import Match, Why
from core.feedback.imports.formats import FORMATS, recognised
from core.feedback.imports.reading import PROBLEMS_LISTED, Reading
from core.feedback.imports.records import ImportProblem, LabelledFile, Unreadable
from core.schemas import MAX_DETECTIONS, ImportFormat

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many images are done; may raise to stop."""
_MAX_CLASSES = 1_000
# A hundred MB while they are read.
_MAX_BOXES = 200_000
# No image is as large; whatever is nearer is looked at in intake. NaN is not.
_FAR_PX = 1e7
_MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Inspection:
    """What was read from an archive.

    Attributes:
        format_name: Its format.
        files: Images that can be used, in the order of their names.
        boxes_per_class: By the class names of the import.
        problems: The first of them, in the order of their finding.
        problem_count: How many there are.
        images_left_out: Images that cannot be used.
        boxes_left_out: Boxes of other images that cannot.
    """

    format_name: ImportFormat
    files: tuple[LabelledFile, ...]
    boxes_per_class: Mapping[str, int]
    problems: tuple[ImportProblem, ...]
    problem_count: int
    images_left_out: int
    boxes_left_out: int


class ImportedClass(BaseModel):
    """A class name of an import, and what became of it."""

    name: str = Field(description="As it stands in the import.")
    boxes: int
    live_name: str | None = Field(description="The class of the live model; empty leaves its boxes out.")
    why: Why = Field(
        description="chosen: by the caller; remembered: from an earlier import; same; alike: but for case, "
        "spaces, hyphens and underscores; unknown: has to be chosen."
    )


class ImportReport(BaseModel):
    """What an import holds and what is taken of it; of a dry run, what would be."""

    format: ImportFormat
    batch_id: str | None = Field(description="The feedback batch it became; empty for a dry run.")
    images: int
    boxes: int
    images_without_box: int = Field(description="Images that say: here is nothing to be found.")
    images_left_out: int = Field(description="Images that cannot be used; `problems` says why.")
    boxes_left_out: int = Field(description="Boxes that cannot be used, of images that can.")
    classes: list[ImportedClass]
    problems: list[ImportProblem] = Field(description=f"The first {PROBLEMS_LISTED}.")
    problem_count: int


def inspect(archive: Archive, format_name: ImportFormat | None, on_progress: Progress) -> Inspection:
    """Read every label and the size of every image.

    Args:
        archive: What was handed in.
        format_name: The format, or None to have it recognised.
        on_progress: See `Progress`.

    Raises:
        InvalidRequest: If the format is not recognised, or a file of annotations cannot be read.
    """
    reading = Reading(archive)
    try:
        known = format_name or recognised(archive)
        files = _read(reading, known, on_progress)
    except Unreadable as unreadable:
        raise InvalidRequest(str(unreadable)) from unreadable
    reading.tell_rest()
    return Inspection(
        format_name=known,
        files=tuple(sorted(files, key=lambda file: (PurePosixPath(file.name).name, file.name))),
        boxes_per_class=_count(files),
        problems=tuple(reading.problems),
        problem_count=reading.problem_count,
        images_left_out=reading.left_out["image"],
        boxes_left_out=reading.left_out["box"],
    )


def _read(reading: Reading, format_name: ImportFormat, on_progress: Progress) -> list[LabelledFile]:
    files, boxes = [], 0
    total = len(reading.archive.images)
    on_progress("Reading labels", 0, total)
    for done, file in enumerate(FORMATS[format_name].read(reading), 1):
        boxes += len(file.boxes)
        if boxes > _MAX_BOXES:
            raise InvalidRequest(f"The import has over {_MAX_BOXES} boxes. Split it into several.")
        if _is_sound(reading, file):
            files.append(file)
        on_progress("Reading labels", done, max(done, total))
    return files


def _is_sound(reading: Reading, file: LabelledFile) -> bool:
    if len(file.boxes) > MAX_DETECTIONS:
        detail = f"It has {len(file.boxes)} boxes; at most {MAX_DETECTIONS} are taken."
        reading.tell(file.name, detail, "Keep those that matter.", costs="image")
        return False
    if not all(abs(edge) <= _FAR_PX for box in file.boxes for edge in box.xyxy):
        reading.tell(file.name, "A box lies far outside of it.", "Correct the box.", costs="image")
        return False
    if any(len(box.class_name) > _MAX_NAME_CHARACTERS for box in file.boxes):
        detail = f"A class name has over {_MAX_NAME_CHARACTERS} characters."
        reading.tell(file.name, detail, "Rename the class.", costs="image")
        return False
    return True


def _count(files: list[LabelledFile]) -> Counter[str]:
    count = Counter(box.class_name for file in files for box in file.boxes)
    if len(count) > _MAX_CLASSES:
        raise InvalidRequest(f"The import has {len(count)} class names; at most {_MAX_CLASSES} are taken.")
    return count


def report_on(inspection: Inspection, matched: Mapping[str, Match], batch_id: str | None) -> ImportReport:
    """What is taken of an import when its class names are mapped like this."""
    taken = {name for name, match in matched.items() if match.live_name is not None}
    boxes = [sum(box.class_name in taken for box in file.boxes) for file in inspection.files]
    return ImportReport(
        format=inspection.format_name,
        batch_id=batch_id,
        images=len(boxes),
        boxes=sum(boxes),
        images_without_box=boxes.count(0),
        images_left_out=inspection.images_left_out,
        boxes_left_out=inspection.boxes_left_out,
        classes=[
            ImportedClass(name=name, boxes=count, live_name=matched[name].live_name, why=matched[name].why)
            for name, count in sorted(inspection.boxes_per_class.items())
        ],
        problems=list(inspection.problems),
        problem_count=inspection.problem_count,
    )
