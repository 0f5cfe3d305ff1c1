"""Opens a zip that a stranger packed. Nothing is ever written under a name that stands in it."""

import io
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO

from core.config import MIB
from core.errors import InvalidRequest
from core.feedback.imports.names import cleaned, is_image, is_left_by_system
from core.feedback.imports.records import Costs, ImportProblem

_LEADS_OUT = ("Its name leads out of the archive.", "Pack the folder itself, with plain names.")
_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_OTHER_PACKERS = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7-Zip archive", b"\x1f\x8b": "packed with gzip"}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_NAME_IS_UTF8 = 0x800
# Photographs gain nothing by packing and annotations twenty times; a bomb lives from hundreds.
_MAX_RATIO = 200
_RATIO_COUNTS_FROM_BYTES = MIB
# A list of 50,000 files; the zipfile module reads it in one piece.
_MAX_LIST_BYTES = 8 * MIB


@dataclass(frozen=True)
class Member:
    """A file of an import."""

    name: str
    size_bytes: int
    read: Callable[[], bytes]


def is_zip(file: IO[bytes]) -> bool:
    """Whether the file is a zip, by its content.

    Raises:
        InvalidRequest: If it was packed by something else.
    """
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    for known, what in _OTHER_PACKERS.items():
        if start.startswith(known):
            raise InvalidRequest(f"This is {what}. Pack the files as a zip.")
    return start in _STARTS


def open_zip(name: str, file: IO[bytes]) -> zipfile.ZipFile:
    """Open a zip by its list of contents.

    Raises:
        InvalidRequest: If the list is damaged or too long.
    """
    guarded = _Guarded(file)
    try:
        archive = zipfile.ZipFile(guarded)
    except InvalidRequest:
        raise
    except Exception as error:  # Its reader answers a hostile file with several kinds of exception.
        raise InvalidRequest(f"{name} is no whole zip: {error}. Pack and upload it again.") from error
    guarded.is_open = True
    return archive


class _Guarded(io.RawIOBase):
    """A zip whose list of contents is not read if it is huge."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.is_open = False

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_LIST_BYTES and not self.is_open:
            raise InvalidRequest("The zip holds too many files. Split it.")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def members_of(archive: zipfile.ZipFile) -> Iterator[Member | ImportProblem]:
    """Each file of the zip, or why it is not looked at; folders and what systems leave are passed over."""
    for entry in archive.infolist():
        raw_name = _name_of(entry)
        if entry.is_dir() or is_left_by_system(raw_name):
            continue
        name = cleaned(raw_name)
        refusal = _refusal(entry) if name else _LEADS_OUT
        if name is None or refusal:
            yield _left_out(raw_name, *(refusal or _LEADS_OUT))
        else:
            yield Member(name, entry.file_size, partial(archive.read, entry))


def _name_of(entry: zipfile.ZipInfo) -> str:
    # Many packers write UTF-8 without saying so; zipfile then reads it as code page 437.
    if entry.flag_bits & _NAME_IS_UTF8:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _refusal(entry: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Why an entry is not looked at and what to do, if it is not."""
    is_bomb = entry.file_size > max(_RATIO_COUNTS_FROM_BYTES, _MAX_RATIO * entry.compress_size)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    refusals = {
        "It is a link or a device, not a file.": (
            "Pack the file it points to.",
            kind not in (0, stat.S_IFREG),
        ),
        "It is encrypted.": ("Pack without a password.", entry.flag_bits & _ENCRYPTED),
        "It is packed with an unusual method.": ("Pack as a plain zip.", entry.compress_type not in _METHODS),
        f"Unpacked it is over {_MAX_RATIO} times as large.": (
            "Export it again; images never pack so well.",
            is_bomb,
        ),
        "It is an archive within the archive.": (
            "Unpack it, and pack all files as one zip.",
            entry.filename.lower().endswith(".zip"),
        ),
    }
    return next(((detail, repair) for detail, (repair, applies) in refusals.items() if applies), None)


def _left_out(name: str, detail: str, repair: str) -> ImportProblem:
    costs: Costs = "image" if is_image(name) else "nothing"
    return ImportProblem(file=name, place=None, detail=detail, repair=repair, costs=costs)
