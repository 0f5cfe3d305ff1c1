"""Makes a zip piece by piece, for a reader that takes it while it is made; memory holds one file of it."""

import io
from collections.abc import Iterator
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

# The oldest that a zip can name: the same files make the same zip, whenever that is.
_TIME = (1980, 1, 1, 0, 0, 0)


class ZipStream:
    """Takes one file after the other and gives the bytes of the zip so far."""

    def __init__(self) -> None:
        """Begin an empty zip."""
        self._out = _Drained()
        self._zip = ZipFile(self._out, "w")

    def image(self, name: str, content: bytes) -> Iterator[bytes]:
        """Add a file that is packed already."""
        return self._add(name, content, ZIP_STORED)

    def text(self, name: str, text: str) -> Iterator[bytes]:
        """Add a text."""
        return self._add(name, text.encode(), ZIP_DEFLATED)

    def texts(self, name: str, pieces: Iterator[str]) -> Iterator[bytes]:
        """Add a text that comes in pieces; only its packed form is held."""
        with self._zip.open(_entry(name, ZIP_DEFLATED), "w") as file:
            for piece in pieces:
                file.write(piece.encode())
        yield self._out.drain()

    def end(self) -> Iterator[bytes]:
        """Add the list of contents."""
        self._zip.close()
        yield self._out.drain()

    def _add(self, name: str, content: bytes, method: int) -> Iterator[bytes]:
        self._zip.writestr(_entry(name, method), content)
        yield self._out.drain()


def _entry(name: str, method: int) -> ZipInfo:
    entry = ZipInfo(name, _TIME)
    entry.compress_type = method
    entry.external_attr = 0o644 << 16
    return entry


class _Drained(io.BytesIO):
    """A file whose beginning has been taken away: positions go on counting from there.

    It can be sought in as far as it is still there, so that zipfile writes the size of each entry before its
    content. Readers that cannot seek need it there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._drained_bytes = 0

    def drain(self) -> bytes:
        """Take away all that has been written since."""
        content = self.getvalue()
        self._drained_bytes += len(content)
        super().seek(0)
        self.truncate()
        return content

    def tell(self) -> int:
        return self._drained_bytes + super().tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            offset -= self._drained_bytes
        return self._drained_bytes + super().seek(offset, whence)
