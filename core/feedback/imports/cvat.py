"""CVAT for images 1.1: an XML file that lists each image with its shapes, in pixels."""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from core.feedback.imports import shapes
from core.feedback.imports.archive import Archive
from core.feedback.imports.reading import HALF_LABELLED, OUTLINES, TURNED, Reading, fault_in
from core.feedback.imports.records import LabelledFile, NamedBox, Unreadable, Xyxy

Fields = Mapping[str, str]
_START_CHARACTERS = 4_096
# Over ten times what the largest import needs.
_MAX_TAGS = 3_000_000
_EXPORT_IMAGES = "Export as CVAT for images 1.1."


def recognises(archive: Archive) -> bool:
    """Whether an XML file holds annotations."""
    return any(_is_cvat(archive, name) for name in archive.others_with(".xml"))


def read(reading: Reading) -> Iterator[LabelledFile]:
    """Each image that a file lists, with its boxes; an image without shapes is one without boxes."""
    for file in reading.archive.others_with(".xml"):
        if _is_cvat(reading.archive, file):
            reading.use(file)
            for image in _images(reading.archive, file):
                found = _labelled(reading, file, image)
                if found is not None:
                    yield found


def _is_cvat(archive: Archive, name: str) -> bool:
    return "<annotations" in archive.read_text(name)[:_START_CHARACTERS]


def _images(archive: Archive, file: str) -> Iterator[Element]:
    """Each `image` of the file, one at a time."""
    text = archive.read_text(file)
    if text.count("<") > _MAX_TAGS:
        raise Unreadable(file, f"It has over {_MAX_TAGS} tags.", "Split the import into several.")
    try:
        events = iterparse(BytesIO(text.encode()), ("start", "end"), forbid_dtd=True)
        _, root = next(events)
        for event, element in events:
            if element.tag == "track":
                raise Unreadable(file, "It holds the tracks of a video.", _EXPORT_IMAGES)
            if event == "end" and element.tag == "image":
                yield element
                root.clear()
    except (ParseError, DefusedXmlException) as error:
        raise Unreadable(file, f"It is no XML that is read: {error}.", _EXPORT_IMAGES) from error


def _labelled(reading: Reading, file: str, image: Element) -> LabelledFile | None:
    wanted = image.get("name", "")
    place = f"image {wanted}"
    # In a project, images of two tasks may be called alike.
    subset = image.get("subset")
    name = reading.find_image([f"{subset}/{wanted}" if subset else wanted], file, place)
    if name is None:
        return None
    try:
        size_px = [float(image.attrib[side]) for side in ("width", "height")]
        if not reading.has_size(name, *size_px):
            return None
        return LabelledFile(name, tuple(_boxes(reading, file, place, image)))
    except (ValueError, KeyError) as error:
        reading.tell(file, _fault(error), HALF_LABELLED, costs="image", place=place)
        return None


def _fault(error: ValueError | KeyError) -> str:
    return f"The attribute {error} is missing." if isinstance(error, KeyError) else fault_in(error)


def _boxes(reading: Reading, file: str, place: str, image: Element) -> Iterator[NamedBox]:
    for shape in image:
        fields = shape.attrib
        if shape.tag == "tag":
            reading.changed(file, "Tags of whole images, which have no box")
        elif shape.tag not in _SHAPES:
            detail, repair = f"A {shape.tag} has no box.", "Draw a box where there should be one."
            reading.tell(file, detail, repair, costs="box", place=place)
        elif fields.get("outside") == "1":
            reading.changed(file, "Shapes that have left their image (outside)")
        else:
            yield NamedBox(fields["label"], _SHAPES[shape.tag](fields))
            if shape.tag != "box" or _rotation(fields):
                reading.changed(file, TURNED if shape.tag == "box" else OUTLINES)


def _box(fields: Fields) -> Xyxy:
    x_min, y_min, x_max, y_max = _numbers(fields, "xtl", "ytl", "xbr", "ybr")
    if not _rotation(fields):
        return shapes.finite((x_min, y_min, x_max, y_max))
    # It turns about its centre.
    center = (x_min + x_max) / 2, (y_min + y_max) / 2
    return shapes.around_turned_box((x_min, y_min, x_max, y_max), center, _rotation(fields))


def _polygon(fields: Fields) -> Xyxy:
    pairs = (pair.split(",") for pair in fields["points"].split(";"))
    return shapes.around((float(x), float(y)) for x, y in pairs)


def _ellipse(fields: Fields) -> Xyxy:
    x, y, radius_x, radius_y = _numbers(fields, "cx", "cy", "rx", "ry")
    return shapes.around_ellipse((x, y), (radius_x, radius_y), _rotation(fields))


def _mask(fields: Fields) -> Xyxy:
    left, top, width, height = _numbers(fields, "left", "top", "width", "height")
    return shapes.finite((left, top, left + width, top + height))


def _cuboid(fields: Fields) -> Xyxy:
    corners = [f"{corner}{side}" for side in "12" for corner in ("tl", "bl", "tr", "br")]
    return shapes.around(_point(fields, corner) for corner in corners)


def _point(fields: Fields, corner: str) -> tuple[float, float]:
    x, y = _numbers(fields, f"x{corner}", f"y{corner}")
    return x, y


def _numbers(fields: Fields, *names: str) -> list[float]:
    return [float(fields[name]) for name in names]


def _rotation(fields: Fields) -> float:
    return float(fields.get("rotation", 0)) % 360


_SHAPES: dict[str, Callable[[Fields], Xyxy]] = {
    "box": _box,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "mask": _mask,
    "cuboid": _cuboid,
}
