"""What the readers of all formats share: finding images, and telling what could not be taken."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.feedback.imports.archive import Archive
from core.feedback.imports.names import folder_of
from core.feedback.imports.records import Costs, ImportProblem, Unreadable

PROBLEMS_LISTED = 1_000
HALF_LABELLED = "Correct it. Until then the image is left out, as half its labels would mislead."
OUTLINES = "Outlines that became the box around them"
TURNED = "Turned boxes and ellipses that became the upright box around them"
_SHOWN_CHARACTERS = 200
_NO_LABEL = "No label belongs to this image."
_LABEL_IT = "Label it. If there is nothing to be found in it, say so: in YOLO format by an empty label file."

Row = TypeVar("Row", bound=BaseModel)


class Reading:
    """One reading of an archive: what was found missing, wrong or changed on the way.

    Attributes:
        archive: What is read.
        problems: The first `PROBLEMS_LISTED` of them.
        problem_count: How many there are.
        left_out: How many images and boxes they cost.
    """

    def __init__(self, archive: Archive) -> None:
        """Begin with the files that the archive itself would not look at."""
        self.archive = archive
        self.problems: list[ImportProblem] = []
        self.problem_count = 0
        self.left_out: Counter[Costs] = Counter()
        self._accounted_for: set[str] = set()
        self._used: set[str] = set()
        self._changes: Counter[tuple[str, str]] = Counter()
        for problem in archive.problems:
            self._note(problem)

    def tell(
        self, file: str, detail: str, repair: str = "", *, costs: Costs = "nothing", place: str | None = None
    ) -> None:
        """Note what could not be taken as it is; an image that it costs is not told of again."""
        if costs == "image":
            self._accounted_for.add(file)
        self._note(ImportProblem(file=file, place=place, detail=detail, repair=repair, costs=costs))

    def _note(self, problem: ImportProblem) -> None:
        self.problem_count += 1
        self.left_out[problem.costs] += 1
        if len(self.problems) < PROBLEMS_LISTED:
            self.problems.append(problem)

    def use(self, file: str) -> None:
        """Remember that a file that is no image was of use."""
        self._used.add(file)

    def changed(self, file: str, what: str) -> None:
        """Count something that was changed or passed over, and costs no box; told in one line a file."""
        self._changes[file, what] += 1

    def find_image(self, wanted: Sequence[str], file: str, place: str) -> str | None:
        """The one image that a file means; otherwise it is told and costs the image.

        Args:
            wanted: What it may be called, the likeliest first.
            file: The file that names it.
            place: Where in that file.
        """
        found = next(filter(None, (self.archive.find(name, folder_of(file)) for name in wanted)), ())
        if len(found) == 1:
            self._accounted_for.add(found[0])
            return found[0]
        if found:
            detail = f"{len(found)} files may be meant by {wanted[0]}: {', '.join(found[:3])}."
            repair = "Give the images different names, or import the folders one by one."
        else:
            detail, repair = f"The image {wanted[0]} is not in the archive.", "Add it, and import again."
        self._note(ImportProblem(file=file, place=place, detail=detail, repair=repair, costs="image"))
        return None

    def upright_size(self, image: str) -> tuple[int, int] | None:
        """Width and height of an image in pixels; if it cannot be read, it is told and costs the image."""
        self._accounted_for.add(image)
        try:
            return self.archive.upright_size(image)
        except Unreadable as unreadable:
            self._note(unreadable.as_problem("image"))
            return None

    def has_size(self, image: str, width_px: float | None, height_px: float | None) -> bool:
        """Whether an upright image has the size that its annotation names, if any; otherwise told."""
        size_px = self.upright_size(image)
        if size_px is None:
            return False
        if width_px is None or height_px is None or (round(width_px), round(height_px)) == size_px:
            return True
        self.tell_wrong_size(image, size_px, (width_px, height_px))
        return False

    def tell_wrong_size(self, image: str, size_px: tuple[int, int], named_px: tuple[float, float]) -> None:
        """Tell that an annotation belongs to an image of another size than the one that is there."""
        named, actual = f"{named_px[0]:g} x {named_px[1]:g}", f"{size_px[0]} x {size_px[1]}"
        self.tell(
            image,
            f"Its annotation was made on {named} px, and the upright image has {actual} px.",
            "Add the image that was annotated, turned upright as its EXIF data says, or annotate this one.",
            costs="image",
        )

    def tell_rest(self) -> None:
        """Tell of what was changed, of images that no label belongs to, and of files that were of no use."""
        for (file, what), count in self._changes.items():
            self.tell(file, f"{what}: {count}.")
        for image in self.archive.images:
            if image not in self._accounted_for:
                self.tell(image, _NO_LABEL, _LABEL_IT, costs="image")
        for file in sorted(set(self.archive.others) - self._used - self._accounted_for):
            self.tell(file, "The file is not used.")


def rows_of(
    kind: type[Row], values: Any, reading: Reading, file: str, what: str, costs: Costs
) -> Iterator[tuple[str, Row]]:
    """Each row of a list in a JSON file with its place there; what is no such row is told.

    Args:
        kind: What a row has to be.
        values: The list.
        reading: Where to tell.
        file: The file it is from.
        what: What a row is called.
        costs: What a wrong row costs.

    Raises:
        Unreadable: If it is no list.
    """
    if not isinstance(values, list):
        raise Unreadable(file, f"Its {what}s are not a list.", "Export it again.")
    for position, value in enumerate(values, 1):
        place = f"{what} {position}"
        try:
            yield place, kind.model_validate(value)
        except ValidationError as error:
            reading.tell(file, fault_in(error), "Export it again.", costs=costs, place=place)


def fault_in(error: ValueError) -> str:
    """The first thing that is wrong, as a sentence that is not too long."""
    if not isinstance(error, ValidationError):
        return f"It cannot be read: {str(error)[:_SHOWN_CHARACTERS]}."
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))[:_SHOWN_CHARACTERS]
    return f"It cannot be read: {where or 'it'}: {first['msg'][:_SHOWN_CHARACTERS]}."
