"""YOLO: a text file an image, each line a class id with centre and size, or with the corners of a polygon.

Numbers are shares of the upright image, as Ultralytics takes them. Read are the layouts of Ultralytics,
Roboflow, Label Studio, CVAT and LabelImg.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from core.feedback.imports import shapes
from core.feedback.imports.archive import Archive
from core.feedback.imports.names import stem_of
from core.feedback.imports.reading import HALF_LABELLED, OUTLINES, Reading, fault_in
from core.feedback.imports.records import LabelledFile, NamedBox, Unreadable, Xyxy
from core.feedback.imports.yolo_names import ClassNames, NamesById, names_classes
from core.schemas import MAX_DETECTIONS

_LABEL_LINE = re.compile(r"\s*\d+(\.0*)?(\s+[-+.\deE]+){4,}\s*$")
# Of the image, beyond its edge: more than careless drawing, and far less than what pixels would be.
_MAX_OVERHANG = 0.5


def recognises(archive: Archive) -> bool:
    """Whether a file looks like YOLO labels, or names their classes."""
    return any(names_classes(name) or _looks_like_label(archive, name) for name in archive.others)


def read(reading: Reading) -> Iterator[LabelledFile]:
    """Each image that has a label file, with its boxes."""
    labels = _Labels(reading.archive)
    names = ClassNames(reading)
    for image in reading.archive.images:
        label = labels.of.get(image)
        if label is not None:
            reading.use(label)
            boxes = _boxes(reading, image, label, names.of(label))
            if boxes is not None:
                yield LabelledFile(image, boxes)
    for label in labels.left:
        if _looks_like_label(reading.archive, label):
            reading.use(label)
            reading.tell(
                label, "No image belongs to this label.", "Add the image under the same name.", costs="image"
            )


def _may_be_label(name: str) -> bool:
    return name.lower().endswith(".txt") and not names_classes(name)


def _looks_like_label(archive: Archive, name: str) -> bool:
    if not _may_be_label(name):
        return False
    try:
        first_line = archive.read_text(name).lstrip().partition("\n")[0]
    except Unreadable:
        return False
    return bool(_LABEL_LINE.match(first_line))


def _in_labels_folder(image: str) -> str:
    """Where Ultralytics looks for a label: the last `images` folder of the path becomes `labels`."""
    parts = image.split("/")
    positions = [index for index, part in enumerate(parts[:-1]) if part.casefold() == "images"]
    if positions:
        parts[positions[-1]] = "labels"
    return "/".join(parts)


def _bare_stem(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


Key = Callable[[str], str]
_MEETING_POINTS: Sequence[tuple[Key, Key]] = (
    (lambda image: stem_of(_in_labels_folder(image)), stem_of),
    (stem_of, stem_of),
    (lambda image: stem_of(_in_labels_folder(image)).casefold(), lambda label: stem_of(label).casefold()),
    (_bare_stem, _bare_stem),
)


class _Labels:
    """Which label belongs to which image: they meet at one name, under which there is no other.

    Attributes:
        of: The label file of each image that has one.
        left: Label files that belong to no image.
    """

    def __init__(self, archive: Archive) -> None:
        labels = list(filter(_may_be_label, archive.others))
        self.of: dict[str, str] = {}
        self.left = dict.fromkeys(labels)
        for of_image, of_label in _MEETING_POINTS:
            self._pair(_grouped(archive.images, of_image), _grouped(labels, of_label))

    def _pair(self, images: Mapping[str, list[str]], labels: Mapping[str, list[str]]) -> None:
        for name in images.keys() & labels.keys():
            image, label = images[name][0], labels[name][0]
            is_clear = len(images[name]) == len(labels[name]) == 1
            if is_clear and image not in self.of and label in self.left:
                self.of[image] = label
                del self.left[label]


def _grouped(names: Iterable[str], key: Key) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for name in names:
        grouped[key(name)].append(name)
    return grouped


def _boxes(reading: Reading, image: str, label: str, names: NamesById | None) -> tuple[NamedBox, ...] | None:
    """The boxes of a label file; None if it or its image cannot be read, which is told."""
    size_px = reading.upright_size(image)
    if size_px is None:
        return None
    try:
        text = reading.archive.read_text(label)
    except Unreadable as unreadable:
        reading.tell(label, unreadable.detail, unreadable.repair, costs="image")
        return None
    return _parsed(reading, label, text, names, size_px)


def _parsed(
    reading: Reading, label: str, text: str, names: NamesById | None, size_px: tuple[int, int]
) -> tuple[NamedBox, ...] | None:
    boxes: list[NamedBox] = []
    faults: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        try:
            if fields:
                boxes.append(NamedBox(_class_name(fields[0], names), _xyxy(fields[1:], size_px)))
            if len(fields) > 5:
                reading.changed(label, OUTLINES)
        except ValueError as error:
            faults[number] = fault_in(error)
        if len(boxes) > MAX_DETECTIONS:
            faults[number] = f"The file has over {MAX_DETECTIONS} boxes."
            break
    if faults:
        _tell_faults(reading, label, faults)
        return None
    return tuple(boxes)


def _class_name(field: str, names: NamesById | None) -> str:
    class_id = float(field)
    if not class_id.is_integer() or class_id < 0:
        raise ValueError(f"{field[:20]} is no class id")
    if names is None:
        return str(int(class_id))
    if int(class_id) not in names:
        raise ValueError(f"class {int(class_id)} has no name")
    return names[int(class_id)]


def _xyxy(fields: list[str], size_px: tuple[int, int]) -> Xyxy:
    shares = [float(field) for field in fields]
    if not all(-_MAX_OVERHANG <= share <= 1 + _MAX_OVERHANG for share in shares):
        raise ValueError("a number is not a share of the image, 0 to 1")
    width_px, height_px = size_px
    if len(shares) == 4:
        x, y, width, height = shares
        corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    elif len(shares) >= 6 and len(shares) % 2 == 0:
        corners = shapes.around(zip(shares[::2], shares[1::2], strict=True))
    else:
        raise ValueError(f"{1 + len(shares)} fields are neither a box (5) nor a polygon (7, 9, …)")
    return corners[0] * width_px, corners[1] * height_px, corners[2] * width_px, corners[3] * height_px


def _tell_faults(reading: Reading, label: str, faults: Mapping[int, str]) -> None:
    number, first = next(iter(faults.items()))
    more = f" Lines at fault in all: {len(faults)}." if len(faults) > 1 else ""
    reading.tell(label, first + more, HALF_LABELLED, costs="image", place=f"line {number}")
