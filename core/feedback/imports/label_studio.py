"""Label Studio's JSON export: tasks with annotations, whose regions are in percent of the image.

The percentages are of the image as a browser shows it, so upright. `image_rotation` says how the annotator
had turned the view, and changes no number.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field, FiniteFloat

from core.feedback.imports import shapes
from core.feedback.imports.archive import Archive
from core.feedback.imports.names import is_image
from core.feedback.imports.reading import (
    HALF_LABELLED,
    OUTLINES,
    TURNED,
    Reading,
    fault_in,
    rows_of,
)
from core.feedback.imports.records import LabelledFile, NamedBox, Xyxy

# What Label Studio puts before the name of an uploaded file.
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
# Percentages fit an image of any size, but not of another shape.
_MAX_DISTORTION = 0.02
_OLDER = "Annotations that were passed over for a newer one, or a ground truth, of their task"
_WITHOUT_BOX = ("keypoint", "vector", "bitmask", "magicwand")


class _Annotation(BaseModel):
    result: list[Any]
    was_cancelled: bool | None = False
    ground_truth: bool | None = False
    updated_at: str | None = None
    created_at: str | None = None


class _Task(BaseModel):
    id: int | str | None = None
    data: dict[str, Any]
    annotations: list[Any] = Field(default_factory=list)
    completions: list[Any] = Field(default_factory=list)


class _Region(BaseModel):
    id: str | int | None = None
    type: str = ""
    value: dict[str, Any] = Field(default_factory=dict)
    original_width: FiniteFloat | None = None
    original_height: FiniteFloat | None = None


class _Rectangle(BaseModel):
    x: FiniteFloat
    y: FiniteFloat
    width: FiniteFloat
    height: FiniteFloat
    rotation: FiniteFloat = 0.0


class _Ellipse(BaseModel):
    x: FiniteFloat
    y: FiniteFloat
    radiusX: FiniteFloat  # noqa: N815 - as Label Studio writes it
    radiusY: FiniteFloat  # noqa: N815
    rotation: FiniteFloat = 0.0


class _Polygon(BaseModel):
    points: list[tuple[FiniteFloat, FiniteFloat]]


def recognises(archive: Archive) -> bool:
    """Whether a JSON file is a list of tasks."""
    return any(_is_task_list(archive, name) for name in archive.others_with(".json"))


def read(reading: Reading) -> Iterator[LabelledFile]:
    """The image of each annotated task, with the boxes of its newest annotation."""
    for file in reading.archive.others_with(".json"):
        if _is_task_list(reading.archive, file):
            reading.use(file)
            tasks = rows_of(_Task, reading.archive.read_json(file), reading, file, "task", "image")
            for place, task in tasks:
                found = _TaskReader(reading, file, place, task).read()
                if found is not None:
                    yield found


def _is_task_list(archive: Archive, name: str) -> bool:
    document = archive.read_json(name)
    return isinstance(document, list) and any(isinstance(task, dict) and "data" in task for task in document)


class _TaskReader:
    """Reads one task; whatever cannot be used is told under its number."""

    def __init__(self, reading: Reading, file: str, place: str, task: _Task) -> None:
        self._reading, self._file, self._task = reading, file, task
        self._place = place if task.id is None else f"task {task.id}"

    def read(self) -> LabelledFile | None:
        wanted = _names_of_image(self._task.data)
        if not wanted:
            self._tell("Its data names no single image.", "Import tasks of one image each.")
            return None
        image = self._reading.find_image(wanted, self._file, self._place)
        annotation = self._annotation() if image else None
        size_px = self._reading.upright_size(image) if image and annotation else None
        if image is None or annotation is None or size_px is None:
            return None
        boxes = self._boxes(annotation, image, size_px)
        group = self._task.data.get("group")
        return None if boxes is None else LabelledFile(image, boxes, None if group is None else str(group))

    def _tell(self, detail: str, repair: str) -> None:
        self._reading.tell(self._file, detail, repair, costs="image", place=self._place)

    def _annotation(self) -> _Annotation | None:
        rows = rows_of(
            _Annotation,
            self._task.annotations or self._task.completions,
            self._reading,
            self._file,
            f"{self._place}, annotation",
            "nothing",
        )
        finished = [annotation for _, annotation in rows if not annotation.was_cancelled]
        if not finished:
            self._tell("It has no annotation, or only cancelled ones.", "Annotate it, and export again.")
            return None
        if len(finished) > 1:
            self._reading.changed(self._file, _OLDER)
        return max(reversed(finished), key=_age)

    def _boxes(
        self, annotation: _Annotation, image: str, size_px: tuple[int, int]
    ) -> tuple[NamedBox, ...] | None:
        regions = rows_of(
            _Region, annotation.result, self._reading, self._file, f"{self._place}, region", "box"
        )
        boxes: list[NamedBox] = []
        for results in _by_id(regions):
            if _is_distorted(results[0], size_px):
                named_px = results[0].original_width or 0, results[0].original_height or 0
                self._reading.tell_wrong_size(image, size_px, named_px)
                return None
            try:
                boxes += self._boxes_of(results, size_px)
            except ValueError as error:
                self._tell(fault_in(error), HALF_LABELLED)
                return None
        return tuple(boxes)

    def _boxes_of(self, results: Sequence[_Region], size_px: tuple[int, int]) -> list[NamedBox]:
        """A box for each label of a region, which is one result or several of one id."""
        shape = next((result for result in results if _kind(result) in _SHAPES), None)
        if shape is None:
            self._pass_over(results)
            return []
        xyxy, change = _SHAPES[_kind(shape)](shape.value, size_px)
        if change:
            self._reading.changed(self._file, change)
        labels = _labels_of(results)
        if not labels:
            raise ValueError(f"a {_kind(shape)} has no label")
        return [NamedBox(label, xyxy) for label in labels]

    def _pass_over(self, results: Sequence[_Region]) -> None:
        kinds = {_kind(result) for result in results}
        if "brush" in kinds:
            raise ValueError("a brush stroke has no box; draw a rectangle")
        for kind in kinds.intersection(_WITHOUT_BOX):
            detail, repair = f"A {kind} has no box.", "Draw a rectangle where there should be a box."
            self._reading.tell(self._file, detail, repair, costs="box", place=self._place)
        if not kinds.intersection(_WITHOUT_BOX):
            self._reading.changed(self._file, "Results that are no shapes, such as choices and texts")


def _names_of_image(data: Mapping[str, Any]) -> list[str]:
    """What the image of a task may be called, the likeliest first: its key is up to the project."""
    addresses = [data.get("image"), *data.values()]
    texts = [address for address in addresses if isinstance(address, str)]
    address = next((text for text in texts if is_image(_path_in(text))), None)
    if address is None:
        return []
    path = _path_in(address)
    name = PurePosixPath(path).name
    return [path, *([name[9:]] if _UPLOAD_PREFIX.match(name) else [])]


def _path_in(address: str) -> str:
    """The path in `/data/upload/1/name.jpg`, `s3://bucket/name.jpg` or `/data/local-files/?d=name.jpg`."""
    _, is_local_file, path = address.partition("?d=")
    try:
        return unquote(path if is_local_file else urlsplit(address).path)
    except ValueError:
        return ""


def _age(annotation: _Annotation) -> tuple[bool, str]:
    return bool(annotation.ground_truth), annotation.updated_at or annotation.created_at or ""


def _by_id(regions: Iterator[tuple[str, _Region]]) -> list[list[_Region]]:
    grouped: dict[object, list[_Region]] = defaultdict(list)
    for place, region in regions:
        grouped[place if region.id is None else region.id].append(region)
    return list(grouped.values())


def _is_distorted(region: _Region, size_px: tuple[int, int]) -> bool:
    width, height = region.original_width, region.original_height
    if not width or not height:
        return False
    return abs(width * size_px[1] / (height * size_px[0]) - 1) > _MAX_DISTORTION


def _kind(result: _Region) -> str:
    return result.type.removesuffix("labels")


def _labels_of(results: Sequence[_Region]) -> list[str]:
    """The labels of a region, or else what was chosen for it."""
    found: dict[bool, list[str]] = {True: [], False: []}
    for key, values in (pair for result in results for pair in result.value.items()):
        if isinstance(values, list) and (key.endswith("labels") or key == "choices"):
            found[key != "choices"] += [label for label in values if isinstance(label, str)]
    return list(dict.fromkeys(found[True] or found[False]))


Boxed = tuple[Xyxy, str | None]


def _rectangle(value: Mapping[str, Any], size_px: tuple[int, int]) -> Boxed:
    box = _Rectangle.model_validate(value)
    x, y = _in_pixels((box.x, box.y), size_px)
    right, bottom = _in_pixels((box.x + box.width, box.y + box.height), size_px)
    if box.rotation % 360 == 0:
        return (x, y, right, bottom), None
    # It turns about its upper left corner.
    return shapes.around_turned_box((x, y, right, bottom), (x, y), box.rotation), TURNED


def _ellipse(value: Mapping[str, Any], size_px: tuple[int, int]) -> Boxed:
    ellipse = _Ellipse.model_validate(value)
    center = _in_pixels((ellipse.x, ellipse.y), size_px)
    radii = _in_pixels((ellipse.radiusX, ellipse.radiusY), size_px)
    return shapes.around_ellipse(center, radii, ellipse.rotation), OUTLINES


def _polygon(value: Mapping[str, Any], size_px: tuple[int, int]) -> Boxed:
    points = _Polygon.model_validate(value).points
    return shapes.around(_in_pixels(point, size_px) for point in points), OUTLINES


def _in_pixels(percent: tuple[float, float], size_px: tuple[int, int]) -> tuple[float, float]:
    return percent[0] / 100 * size_px[0], percent[1] / 100 * size_px[1]


_SHAPES = {"rectangle": _rectangle, "ellipse": _ellipse, "polygon": _polygon}
