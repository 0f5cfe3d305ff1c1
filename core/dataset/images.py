"""An image with its labels, wherever it came from, and a set of them under a digest."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, field_validator

from core.store.ids import canonical_digest

# Enough for a thousandth of a pixel on the largest image that is taken in.
_DECIMALS = 8


class Label(BaseModel):
    """One box as YOLO writes it: class id, then centre and size as shares of width and height.

    `is_filled` marks one that nobody drew: the champion added it.
    """

    model_config = ConfigDict(frozen=True)

    class_id: int
    center_x: float
    center_y: float
    width: float
    height: float
    is_filled: bool = False

    @classmethod
    def from_xyxy(
        cls, class_id: int, xyxy: Sequence[float], width_px: int, height_px: int, *, is_filled: bool = False
    ) -> Self:
        """From corners in absolute pixels of an image of this size."""
        x_min, y_min, x_max, y_max = xyxy
        return cls(
            class_id=class_id,
            center_x=round((x_min + x_max) / 2 / width_px, _DECIMALS),
            center_y=round((y_min + y_max) / 2 / height_px, _DECIMALS),
            width=round((x_max - x_min) / width_px, _DECIMALS),
            height=round((y_max - y_min) / height_px, _DECIMALS),
            is_filled=is_filled,
        )

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """Centre and size, shape `(4,)`, as shares of the image."""
        return self.center_x, self.center_y, self.width, self.height

    def xyxy_in(self, width_px: int, height_px: int) -> tuple[float, float, float, float]:
        """Corners in absolute pixels of an image of this size."""
        return (
            (self.center_x - self.width / 2) * width_px,
            (self.center_y - self.height / 2) * height_px,
            (self.center_x + self.width / 2) * width_px,
            (self.center_y + self.height / 2) * height_px,
        )


class SampleVersion(BaseModel):
    """A version of the boxes of a feedback sample."""

    model_config = ConfigDict(frozen=True)

    sample_id: str
    version: int


class LabelledImage(BaseModel):
    """An image file, the sha256 of its bytes, its upright size, and its boxes.

    Of feedback, `sample` tells whose boxes these are; an image of the base set has none. Images of one
    `group`, such as those of one transformer, are not independent of each other.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    sha256: str
    width_px: int
    height_px: int
    labels: tuple[Label, ...]
    sample: SampleVersion | None = None
    group: str | None = None

    def identity(self) -> list[object]:
        """What makes it this image with these boxes, wherever the file lies and whoever drew them."""
        return [self.sha256, [[label.class_id, *label.xywh] for label in self.labels]]


class ImageSet(BaseModel):
    """A frozen set of labelled images, such as the base test set.

    The images are in the order of their contents, whatever the files are called: what was seen in them is
    kept by position, which sets of one digest have in common.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    images: tuple[LabelledImage, ...]

    @field_validator("images")
    @classmethod
    def _in_order(cls, images: tuple[LabelledImage, ...]) -> tuple[LabelledImage, ...]:
        return tuple(sorted(images, key=LabelledImage.identity))

    @property
    def digest(self) -> str:
        """sha256 over contents and boxes; the order and place of the files do not matter."""
        return canonical_digest([image.identity() for image in self.images])


def boxes_per_class(images: Iterable[LabelledImage], class_names: Sequence[str]) -> dict[str, int]:
    """How many boxes of each class the images hold, classes without a box included."""
    found = Counter(label.class_id for image in images for label in image.labels)
    return {name: found[class_id] for class_id, name in enumerate(class_names)}
