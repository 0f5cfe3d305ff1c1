"""Archives as people pack them, and what is read from them."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from core.feedback.imports.archive import Archive
from core.feedback.imports.inspection import Inspection, inspect
from core.schemas import ImportFormat
from tests.factories import make_settings, thermal_file

Files = Mapping[str, bytes | str]
WIDTH, HEIGHT = 64, 48
SETTINGS = make_settings(Path())


def picture(seed: int = 0, width_px: int = WIDTH, height_px: int = HEIGHT) -> bytes:
    """A JPEG file of 64 x 48 pixels unless told otherwise."""
    return thermal_file(seed, width_px, height_px, "JPEG")


def zipped(files: Files) -> io.BytesIO:
    """The files as a zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed


def silent(phase: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def inspected(files: Files, format_name: ImportFormat | None = None) -> Inspection:
    """What is read from a zip of these files."""
    with Archive([("import.zip", zipped(files))], SETTINGS) as archive:
        return inspect(archive, format_name, silent)


def boxes_in(inspection: Inspection) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """By image: class name and corners, rounded to a thousandth of a pixel."""
    return {
        file.name: [(box.class_name, tuple(round(edge, 3) + 0.0 for edge in box.xyxy)) for box in file.boxes]
        for file in inspection.files
    }


def told(inspection: Inspection) -> list[tuple[str, str | None, str]]:
    """Of each problem: file, place, and what it costs."""
    return [(problem.file, problem.place, problem.costs) for problem in inspection.problems]
