"""The formats that are read, and how the one of an archive is recognised."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.errors import InvalidRequest
from core.feedback.imports import coco, cvat, label_studio, yolo
from core.feedback.imports.archive import Archive
from core.feedback.imports.reading import Reading
from core.feedback.imports.records import LabelledFile
from core.schemas import ImportFormat

_SHOWN = 3


@dataclass(frozen=True)
class Format:
    """How a format is called, recognised and read."""

    title: str
    recognises: Callable[[Archive], bool]
    read: Callable[[Reading], Iterator[LabelledFile]]


FORMATS: dict[ImportFormat, Format] = {
    "yolo": Format("YOLO", yolo.recognises, yolo.read),
    "coco": Format("COCO JSON", coco.recognises, coco.read),
    "label_studio": Format("Label Studio JSON", label_studio.recognises, label_studio.read),
    "cvat": Format("CVAT for images 1.1", cvat.recognises, cvat.read),
}


def recognised(archive: Archive) -> ImportFormat:
    """The format of an archive, by the content of its files.

    Raises:
        InvalidRequest: If it is none, or more than one.
        Unreadable: If a file is in the way that cannot be read.
    """
    found = [name for name, known in FORMATS.items() if known.recognises(archive)]
    titles = ", ".join(known.title for known in FORMATS.values())
    if not found:
        reasons = [f" {one.file} was not looked at: {one.detail}" for one in archive.problems[:_SHOWN]]
        raise InvalidRequest(
            f"No labels were found beside {len(archive.images)} images. Taken are {titles}: "
            f"as one zip with the images, or images and label files together.{''.join(reasons)}"
        )
    if len(found) > 1:
        both = " and ".join(FORMATS[name].title for name in found)
        raise InvalidRequest(f"The files hold labels as {both}. Name the format that counts: {found}.")
    return found[0]
