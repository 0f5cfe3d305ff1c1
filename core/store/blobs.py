"""Images by content: what is stored under a sha256 has that sha256."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import fsspec

from core.errors import ImageDamaged, disk_full_named


class Blobs:
    """A content-addressed store over a local folder or any fsspec URL."""

    def __init__(self, url: str, cache_dir: Path) -> None:
        """Take the root, and the folder where remote blobs are kept for local reading."""
        self._is_local = urlsplit(url).scheme in ("", "file") or len(urlsplit(url).scheme) == 1
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._cache_dir = cache_dir

    def put(self, content: bytes) -> str:
        """Store the bytes, once, and return their sha256 in hex.

        Raises:
            DiskFull: If there is no space; nothing is left behind under the blob's name.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        target = self._path_of(sha256)
        if not self._files.exists(target):
            with disk_full_named("an image"):
                self._write_whole(target, content)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes stored under this sha256.

        Raises:
            FileNotFoundError: If there are none.
            ImageDamaged: If they are not those that were stored.
        """
        content: bytes = self._files.cat_file(self._path_of(sha256))
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ImageDamaged(f"The stored image {sha256} was altered. Post it again.")
        return content

    def local_path(self, sha256: str) -> Path:
        """A local file with these bytes, fetched first if the store is remote."""
        if self._is_local:
            return Path(self._path_of(sha256))
        path = self._cache_dir / sha256[:2] / sha256
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{sha256}.{uuid4().hex}")
            partial.write_bytes(self.get(sha256))
            partial.replace(path)
        return path

    def _path_of(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}"

    def _write_whole(self, target: str, content: bytes) -> None:
        folder = target.rsplit("/", 1)[0]
        self._files.makedirs(folder, exist_ok=True)
        partial = f"{target}.{uuid4().hex}"
        try:
            self._files.pipe_file(partial, content)
            self._files.mv(partial, target)
        except BaseException:
            if self._files.exists(partial):
                self._files.rm_file(partial)
            raise
