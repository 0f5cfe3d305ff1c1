"""The files of an import, whether they came in a zip or one by one. They are never unpacked to disk."""

import io
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Self

from pydantic_core import from_json

from core.config import MIB, Settings
from core.errors import InvalidRequest, PayloadTooLarge
from core.feedback.images import upright_size
from core.feedback.imports.names import Directory, cleaned, is_image, is_left_by_system
from core.feedback.imports.records import ImportProblem, Unreadable
from core.feedback.imports.zips import Member, is_zip, members_of, open_zip
from core.feedback.reasons import Refusal
from core.schemas import MAX_IMAGES

# Labels in memory take ten times as much.
_MAX_TEXT_BYTES = 64 * MIB
_MAX_FILES = 5 * MAX_IMAGES
_MAX_GROWTH = 4
_SPLIT = "Split the import into several."


class Archive:
    """Everything that was handed in for one import, by path.

    Attributes:
        problems: Files that are not looked at, and why.
        images: Paths of what is called like an image, sorted.
        others: Paths of everything else, sorted.
    """

    def __init__(self, sources: Iterable[tuple[str, IO[bytes]]], settings: Settings) -> None:
        """List what is in the sources; use it in a `with` block.

        Args:
            sources: File name and content of each file: zips, images, labels. They stay open as long as this.
            settings: With the limits.

        Raises:
            InvalidRequest: If a zip is damaged, or there are too many files.
            PayloadTooLarge: If the sources are too large, or would become so unpacked.
        """
        self._settings = settings
        self._members: dict[str, Member] = {}
        self._documents: dict[str, Any] = {}
        self._zips = ExitStack()
        self._size_bytes = 0
        self.problems: list[ImportProblem] = []
        try:
            for name, file in sources:
                self._take(name, file)
            self._check_limits()
        except BaseException:
            self._zips.close()
            raise
        self.images = tuple(sorted(filter(is_image, self._members)))
        self.others = tuple(sorted(self._members.keys() - set(self.images)))
        self._directory = Directory(self._members)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zips.close()

    def _take(self, name: str, file: IO[bytes]) -> None:
        self._size_bytes += _size_of(file)
        if self._size_bytes > self._settings.import_max_bytes:
            raise PayloadTooLarge(
                f"The import has over {self._settings.import_max_bytes // MIB} MiB. {_SPLIT} "
                "Or have the operator raise TMS_IMPORT_MAX_BYTES."
            )
        if is_zip(file):
            opened = self._zips.enter_context(open_zip(name, file))
            for found in members_of(opened):
                self._add(found)
        elif name.lower().endswith(".zip"):
            raise InvalidRequest(f"{name} is no zip. Pack the files again.")
        elif not is_left_by_system(name):
            self._add(_loose(name, file))

    def _add(self, found: Member | ImportProblem) -> None:
        if isinstance(found, ImportProblem):
            self.problems.append(found)
        elif found.name in self._members:
            self.problems.append(
                ImportProblem(
                    file=found.name,
                    place=None,
                    detail="Another file has the same path; the first one is used.",
                    repair="Give the files different names.",
                    costs="image" if is_image(found.name) else "nothing",
                )
            )
        else:
            self._members[found.name] = found

    def _check_limits(self) -> None:
        if len(self._members) + len(self.problems) > _MAX_FILES:
            raise InvalidRequest(f"There are over {_MAX_FILES} files. {_SPLIT}")
        images = sum(map(is_image, self._members))
        if images > MAX_IMAGES:
            raise InvalidRequest(f"There are {images} images; at most {MAX_IMAGES} are taken. {_SPLIT}")
        max_bytes = _MAX_GROWTH * self._settings.import_max_bytes
        if sum(member.size_bytes for member in self._members.values()) > max_bytes:
            raise PayloadTooLarge(f"Unpacked, the files have over {max_bytes // MIB} MiB. {_SPLIT}")

    def others_with(self, suffix: str) -> list[str]:
        """Paths of the files with this suffix that are no images."""
        return [name for name in self.others if name.lower().endswith(suffix)]

    def find(self, wanted: str, near: str) -> Sequence[str]:
        """The files that may be meant by a name in a file of the folder `near`; one, if it is clear."""
        return self._directory.find(wanted, near)

    def read_image(self, name: str) -> bytes:
        """The whole image file.

        Raises:
            Unreadable: If it is too large or damaged in its zip.
        """
        repair = "Make it smaller, or have the operator raise TMS_IMAGE_MAX_BYTES."
        return self._read(name, self._settings.image_max_bytes, repair)

    def upright_size(self, name: str) -> tuple[int, int]:
        """Width and height in pixels of an upright image.

        Raises:
            Unreadable: If it is no image that is taken.
        """
        try:
            return upright_size(self.read_image(name), self._settings.image_max_pixels)
        except Refusal as refusal:
            raise Unreadable(name, refusal.detail, refusal.repair) from refusal

    def read_text(self, name: str) -> str:
        """A file of labels.

        Raises:
            Unreadable: If it is too large, damaged, or not UTF-8.
        """
        try:
            return self._read(name, _MAX_TEXT_BYTES, _SPLIT).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unreadable(name, f"It is not UTF-8 text ({error.reason}).", "Save it as UTF-8.") from error

    def read_json(self, name: str) -> Any:
        """What a JSON file says; it is read once.

        Raises:
            Unreadable: If it is no JSON.
        """
        if name not in self._documents:
            try:
                self._documents[name] = from_json(self.read_text(name), allow_inf_nan=False)
            except ValueError as error:
                raise Unreadable(name, f"It is no valid JSON: {error}.", "Export it again.") from error
        return self._documents[name]

    def _read(self, name: str, max_bytes: int, repair: str) -> bytes:
        member = self._members[name]
        if member.size_bytes > max_bytes:
            size = f"{member.size_bytes / MIB:.1f} MiB"
            raise Unreadable(name, f"It has {size}; at most {max_bytes / MIB:g} MiB are taken.", repair)
        try:
            return member.read()
        except Exception as error:  # zipfile and zlib answer damage with several kinds of exception.
            raise Unreadable(
                name, f"It is damaged in the archive: {error}.", "Pack and upload it again."
            ) from error


def _loose(name: str, file: IO[bytes]) -> Member:
    # A browser sends the name alone; of anything that leads elsewhere only the last part counts.
    plain = cleaned(name) or cleaned(name.replace("\\", "/").rpartition("/")[2]) or "file"
    return Member(plain, _size_of(file), lambda: _whole(file))


def _size_of(file: IO[bytes]) -> int:
    return file.seek(0, io.SEEK_END)


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
