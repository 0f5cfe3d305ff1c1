"""Blobs by content: what is read under a sha256 has that sha256."""

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from uuid import uuid4

import fsspec

from core.errors import BlobDamaged, BlobStoreUnavailable, TmsError, disk_full_named


class Blobs:
    """What all hosts share as files: images, weights, resume states, dataset revisions.

    They lie in a folder, or in an object store that fsspec knows, such as `s3://bucket/prefix`. An object
    appears there whole or not at all; in a folder that takes a file written aside and renamed.
    """

    def __init__(self, url: str, cache_dir: Path) -> None:
        """Connect lazily.

        Args:
            url: The folder, or an fsspec URL.
            cache_dir: Where objects are kept for local reading.

        Raises:
            BlobStoreUnavailable: If fsspec does not know that kind of URL.
        """
        try:
            files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise BlobStoreUnavailable(
                f"TMS_BLOB_URL cannot be used: {error}. It takes a folder or s3://bucket/prefix."
            ) from error
        self._name = files.unstrip_protocol(self._root)
        # A single letter is a drive of Windows.
        is_folder = urlsplit(url).scheme in ("", "file", "local") or len(urlsplit(url).scheme) == 1
        self._objects: Any = None if is_folder else files
        self._folder = Path(self._root) if is_folder else cache_dir

    def put(self, content: bytes, what: str = "an image") -> str:
        """Store the bytes and return their sha256 in hex; what was damaged under it is mended.

        Raises:
            DiskFull: If there is no space; `what` names the content in its sentence.
            BlobStoreUnavailable: If the store does not take it. In both cases nothing is left behind.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        with self._reached(what):
            if self._objects is not None:
                self._objects.pipe_file(self._key(sha256), content)
            elif not self._is_here(sha256):
                with _appearing_whole(self._path(sha256)) as partial:
                    _write(io.BytesIO(content), partial)
        return sha256

    def put_file(self, path: Path, what: str, *, as_link: bool = True) -> str:
        """Store a file that is never changed in place: a folder on the same disk takes it as a hard link.

        Args:
            path: The file.
            what: What it is, for the sentence of an error.
            as_link: Where that may be; what happens to the bytes of one happens to the other.

        Returns:
            Its sha256 in hex.

        Raises:
            DiskFull: As `put`, and BlobStoreUnavailable too.
        """
        sha256 = file_sha256(path)
        with self._reached(what):
            if self._objects is not None:
                self._objects.put_file(str(path), self._key(sha256))
            elif not self._is_here(sha256):
                with _appearing_whole(self._path(sha256)) as partial:
                    (_link_or_copy if as_link else _copy)(path, partial)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes stored under this sha256; raises as `local_path` does."""
        return self.local_path(sha256).read_bytes()

    def local_path(self, sha256: str) -> Path:
        """A local file with these bytes, fetched first if the store is remote, and compared with the sha256.

        Raises:
            BlobDamaged: If there are none, or they are not those that were stored.
            BlobStoreUnavailable: If the store does not answer.
            DiskFull: If there is no space to keep them here.
        """
        if not self._is_here(sha256):
            self._fetch(sha256)
        return self._path(sha256)

    def delete(self, sha256: str) -> None:
        """Remove what is stored under this sha256, if anything is.

        Raises:
            BlobStoreUnavailable: If the store does not answer.
        """
        with suppress(FileNotFoundError), self._reached("a blob"):
            self._path(sha256).unlink(missing_ok=True)
            if self._objects is not None:
                self._objects.rm_file(self._key(sha256))

    def size_bytes(self) -> int:
        """What all objects take together; a store elsewhere is asked for the list of all of them.

        Raises:
            BlobStoreUnavailable: If the store does not answer.
        """
        if self._objects is None:
            return sum(found.st_size for found in files_below(self._folder))
        with self._reached("the list of its objects"):
            self._objects.invalidate_cache()
            found = self._objects.find(self._root, detail=True)
        return sum(int(one["size"]) for one in found.values())

    def _fetch(self, sha256: str) -> None:
        path = self._path(sha256)
        if self._objects is not None:
            with suppress(FileNotFoundError), self._reached("a blob"), _appearing_whole(path) as partial:
                self._objects.get_file(self._key(sha256), str(partial))
        if not self._is_here(sha256):
            raise BlobDamaged(
                f"What is stored under {sha256} in {self._name} is missing or was altered. "
                "Restore it from a backup; an image may be posted again instead.",
                sha256=sha256,
            )

    def _is_here(self, sha256: str) -> bool:
        path = self._path(sha256)
        return path.is_file() and file_sha256(path) == sha256

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def _key(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}"

    @contextmanager
    def _reached(self, what: str) -> Iterator[None]:
        try:
            with disk_full_named(what):
                yield
        except TmsError:
            raise
        except Exception as error:  # Each kind of store has errors of its own.
            if isinstance(error, FileNotFoundError) and not _misses_bucket(error):
                raise
            raise BlobStoreUnavailable(
                f"The blob store {self._name} could not be used for {what}: {type(error).__name__}: {error}. "
                "Check that it runs and that TMS_BLOB_URL is right; for S3 also that the bucket exists, and "
                "AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            ) from error


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> Iterator[os.stat_result]:
    """What the system says of each file; those that go meanwhile are left out, and links are not followed."""
    folders = [str(folder)]
    while folders:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        # Not the entry's own: on Windows that knows no number of links.
                        yield Path(entry.path).lstat()


def _misses_bucket(error: FileNotFoundError) -> bool:
    # s3fs raises the same for a missing object; only the answer that it came from tells them apart.
    answer = getattr(error.__cause__, "response", {})
    return bool(answer.get("Error", {}).get("Code") == "NoSuchBucket")


@contextmanager
def _appearing_whole(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{uuid4().hex}")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another disk, or one that has no hard links.
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader:
        _write(reader, target)


def _write(reader: IO[bytes], target: Path) -> None:
    with target.open("wb") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())
