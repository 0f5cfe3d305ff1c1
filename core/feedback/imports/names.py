"""How files of an archive are called, and which of them another file means by a name."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
_LEFT_BY_SYSTEMS = frozenset({".ds_store", "thumbs.db", "desktop.ini"})


def cleaned(name: str) -> str | None:
    """The name as a relative path with `/` and composed letters; None if it leads out of the archive."""
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        return None
    return "/".join(part for part in parts if part not in ("", ".")) or None


def is_left_by_system(name: str) -> bool:
    """Whether macOS or Windows has put the file there by itself."""
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name.lower() in _LEFT_BY_SYSTEMS


def is_image(name: str) -> bool:
    """Whether the file is called like an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def folder_of(name: str) -> str:
    """The folder of a path, empty at the top."""
    return name.rpartition("/")[0]


def stem_of(name: str) -> str:
    """The path without its suffix."""
    return str(PurePosixPath(name).with_suffix(""))


class Directory:
    """Finds files by what other files call them."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take the paths of all files, cleaned."""
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_base[_key(PurePosixPath(name).name)].append(name)

    def find(self, wanted: str, near: str) -> Sequence[str]:
        """The files that may be meant; one, if it is clear.

        The folder that a tool names is often not that of the archive, so the file's own name counts first.

        Args:
            wanted: A file name or path, as it stands in an annotation.
            near: The folder of the file that names it.
        """
        wanted = wanted.replace("\\", "/")
        found: Sequence[str] = self._by_base.get(_key(PurePosixPath(wanted).name), [])
        within = _key(f"/{wanted.lstrip('./')}")
        for is_closer in (
            lambda name: _key(f"/{name}").endswith(within),
            lambda name: near and name.startswith(f"{near}/"),
            lambda name: PurePosixPath(name).name == PurePosixPath(wanted).name,
        ):
            if len(found) > 1:
                found = [name for name in found if is_closer(name)] or found
        return found


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
