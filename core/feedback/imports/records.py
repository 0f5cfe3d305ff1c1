"""What every format is read into, and what could not be read."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Xyxy = tuple[float, float, float, float]
Costs = Literal["image", "box", "nothing"]


@dataclass(frozen=True)
class NamedBox:
    """A box with the class name it has in its file; `xyxy` in absolute pixels of the upright image."""

    class_name: str
    xyxy: Xyxy


@dataclass(frozen=True)
class LabelledFile:
    """An image of an archive with its boxes; none is an image in which nothing is to be found.

    Attributes:
        name: Path in the archive.
        boxes: In the order of their file.
        group: Transformer or inspection id, where the format knows one.
    """

    name: str
    boxes: tuple[NamedBox, ...]
    group: str | None = None


class ImportProblem(BaseModel):
    """Something that could not be taken as it is, where it stands, and what to do about it."""

    model_config = ConfigDict(frozen=True)

    file: str = Field(description="Path in the archive, or name of the file.")
    place: str | None = Field(description="Where in the file, such as `line 3` or `annotation 17`.")
    detail: str = Field(description="What is wrong, or what was changed.")
    repair: str = Field(description="What to do about it; empty if nothing has to be done.")
    costs: Costs = Field(description="What is left out because of it.")


class Unreadable(Exception):
    """A file of an archive cannot be read at all."""

    def __init__(self, file: str, detail: str, repair: str) -> None:
        """Name the file, what is wrong with it, and what to do."""
        super().__init__(f"{file}: {detail} {repair}")
        self.file, self.detail, self.repair = file, detail, repair

    def as_problem(self, costs: Costs) -> ImportProblem:
        """The same as something that was left out."""
        return ImportProblem(file=self.file, place=None, detail=self.detail, repair=self.repair, costs=costs)
