"""Files that readers never see half written."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from uuid import uuid4

from core.errors import disk_full_named


class Replacement:
    """Files that change together: each is written and synced aside before the first is renamed.

    A disk that fills up therefore leaves every one of them as it was. Use it in a `with` block, which
    clears away what was not committed.
    """

    def __init__(self) -> None:
        """Start with no file."""
        self._partials: dict[Path, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for partial in self._partials.values():
            partial.unlink(missing_ok=True)

    def add_text(self, target: Path, text: str, what: str) -> Path:
        """Write a file's new content aside, and say where.

        Raises:
            DiskFull: If there is no space; `what` names the file in its sentence.
        """
        return self._add(target, what, lambda file: file.write(text.encode()))

    def add_copy(self, target: Path, source: Path, what: str) -> Path:
        """Write a copy of `source` aside; returns and raises as `add_text` does."""
        with source.open("rb") as reader:
            return self._add(target, what, lambda file: shutil.copyfileobj(reader, file))

    def commit(self) -> None:
        """Let every file appear under its name."""
        for target, partial in self._partials.items():
            os.replace(partial, target)
            sync_folder(target.parent)

    def _add(self, target: Path, what: str, write: Callable[[BinaryIO], object]) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid4().hex}")
        self._partials[target] = partial
        with disk_full_named(what), partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        return partial


def remove_leftovers(folder: Path, *names: str) -> None:
    """Remove what killed processes wrote aside for these files; nobody may be at work on one of them."""
    for name in names:
        for partial in folder.glob(f".{name}.*"):
            partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk, so that a new one survives a power cut; Windows has no such call."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
