"""COCO JSON: images, categories, and annotations with `bbox` as x, y, width and height in pixels."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, FiniteFloat, TypeAdapter

from core.feedback.imports import shapes
from core.feedback.imports.archive import Archive
from core.feedback.imports.reading import HALF_LABELLED, OUTLINES, Reading, fault_in, rows_of
from core.feedback.imports.records import LabelledFile, NamedBox, Xyxy

Id = int | str
_BBOX = TypeAdapter(tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat])
_POLYGONS = TypeAdapter(list[list[FiniteFloat]])
_CROWD = "It marks a crowd, not one object."
_DRAW_SINGLY = "Draw the objects one by one, or leave it out."


class _Image(BaseModel):
    id: Id
    file_name: str
    width: FiniteFloat | None = None
    height: FiniteFloat | None = None
    group: Id | None = None


class _Category(BaseModel):
    id: Id
    name: str


class _Annotation(BaseModel):
    image_id: Id
    category_id: Id
    bbox: Any = None
    segmentation: Any = None
    iscrowd: Any = None


Placed = tuple[str, _Annotation]


def recognises(archive: Archive) -> bool:
    """Whether a JSON file holds images and annotations."""
    return any(_is_coco(archive, name) for name in archive.others_with(".json"))


def read(reading: Reading) -> Iterator[LabelledFile]:
    """Each image of each COCO file, with its boxes; an image without annotations is one without boxes."""
    for file in reading.archive.others_with(".json"):
        if _is_coco(reading.archive, file):
            reading.use(file)
            yield from _Document(reading, file).images()


def _is_coco(archive: Archive, name: str) -> bool:
    document = archive.read_json(name)
    return isinstance(document, dict) and {"images", "annotations"} <= document.keys()


class _Document:
    """One COCO file."""

    def __init__(self, reading: Reading, file: str) -> None:
        self._reading, self._file = reading, file
        document = reading.archive.read_json(file)
        self._images = rows_of(_Image, document["images"], reading, file, "image", "image")
        categories = rows_of(_Category, document.get("categories"), reading, file, "category", "nothing")
        self._names = {category.id: category.name for _, category in categories}
        self._annotations: dict[Id, list[Placed]] = defaultdict(list)
        for placed in rows_of(_Annotation, document["annotations"], reading, file, "annotation", "box"):
            self._annotations[placed[1].image_id].append(placed)

    def images(self) -> Iterator[LabelledFile]:
        """Each image that can be used; then the annotations that are left over are told."""
        for place, row in self._images:
            annotations = self._annotations.pop(row.id, [])
            name = self._reading.find_image([row.file_name], self._file, place)
            if name and self._reading.has_size(name, row.width, row.height):
                boxes = self._boxes(annotations)
                if boxes is not None:
                    yield LabelledFile(name, boxes, None if row.group is None else str(row.group))
        for place, orphan in (placed for left in self._annotations.values() for placed in left):
            detail = f"No image has the id {orphan.image_id}."
            self._reading.tell(self._file, detail, "Export it again.", costs="box", place=place)

    def _boxes(self, annotations: Sequence[Placed]) -> tuple[NamedBox, ...] | None:
        """The boxes of one image; None if one of them cannot be read, which is told."""
        boxes = []
        for place, annotation in annotations:
            try:
                if annotation.iscrowd:
                    self._reading.tell(self._file, _CROWD, _DRAW_SINGLY, costs="box", place=place)
                else:
                    boxes.append(NamedBox(self._name_of(annotation), self._xyxy(annotation)))
            except ValueError as error:
                self._reading.tell(self._file, fault_in(error), HALF_LABELLED, costs="image", place=place)
                return None
        return tuple(boxes)

    def _name_of(self, annotation: _Annotation) -> str:
        if annotation.category_id not in self._names:
            raise ValueError(f"no category has the id {annotation.category_id}")
        return self._names[annotation.category_id]

    def _xyxy(self, annotation: _Annotation) -> Xyxy:
        # Some tools write an empty list where there is an outline alone.
        if annotation.bbox:
            x, y, width, height = _BBOX.validate_python(annotation.bbox)
            return x, y, x + width, y + height
        if isinstance(annotation.segmentation, dict):
            raise ValueError("it has a mask and no bbox")
        polygons = _POLYGONS.validate_python(annotation.segmentation)
        points = (point for polygon in polygons for point in zip(polygon[::2], polygon[1::2], strict=True))
        around = shapes.around(points)
        self._reading.changed(self._file, OUTLINES)
        return around
