"""The blob store in a folder, in fsspec's memory, and on a real S3 server."""

import hashlib
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec
import pytest
import requests
from s3fs import S3FileSystem

from core.errors import BlobDamaged, BlobStoreUnavailable, DiskFull
from core.store.blobs import Blobs
from tests.processes import free_port

SHA256_OF_CONTENT = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"


@pytest.fixture(params=["folder", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of place."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_url"))
    return str(tmp_path / "blobs") if request.param == "folder" else f"memory://{tmp_path.name}"


@pytest.fixture
def blobs(url: str, tmp_path: Path) -> Blobs:
    return Blobs(url, tmp_path / "cache")


def file_with(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    return path


def alter(url: str, sha256: str, content: bytes) -> None:
    files, root = fsspec.core.url_to_fs(url)
    files.pipe_file(f"{root}/{sha256[:2]}/{sha256}", content)


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_come_back_under_their_digest(blobs: Blobs) -> None:
    sha256 = blobs.put(b"content")
    assert sha256 == SHA256_OF_CONTENT
    assert blobs.get(sha256) == blobs.local_path(sha256).read_bytes() == b"content"
    assert blobs.put(b"content") == sha256


def test_a_file_comes_back_under_its_digest_and_stays_where_it_is(blobs: Blobs, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    path = file_with(tmp_path, content)
    sha256 = blobs.put_file(path, "weights")
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert blobs.local_path(sha256).read_bytes() == path.read_bytes() == content
    assert blobs.put_file(path, "weights") == sha256
    path.unlink()
    assert blobs.get(sha256) == content


def test_another_host_finds_it(url: str, tmp_path: Path) -> None:
    here, there = (Blobs(url, tmp_path / host) for host in ("here", "there"))
    with pytest.raises(BlobDamaged):
        there.get(SHA256_OF_CONTENT)
    here.put_file(file_with(tmp_path, b"content"), "weights")
    # A connection of its own, as another host has.
    S3FileSystem.clear_instance_cache()
    assert Blobs(url, tmp_path / "third").get(SHA256_OF_CONTENT) == b"content"
    assert there.local_path(SHA256_OF_CONTENT).read_bytes() == b"content"


def test_what_is_not_there_is_named(blobs: Blobs, tmp_path: Path) -> None:
    for read in (blobs.get, blobs.local_path):
        with pytest.raises(BlobDamaged, match=f"{'0' * 64}.*missing"):
            read("0" * 64)
    assert files_under(tmp_path) == []


@pytest.mark.parametrize("other", [b"other!!", b"cont", b""])
def test_an_altered_blob_is_noticed_and_mended_by_storing_it_again(
    blobs: Blobs, url: str, tmp_path: Path, other: bytes
) -> None:
    sha256 = blobs.put(b"content")
    alter(url, sha256, other)
    fresh = Blobs(url, tmp_path / "fresh")
    for read in (fresh.get, fresh.local_path):
        with pytest.raises(BlobDamaged, match=sha256):
            read(sha256)
    assert fresh.put(b"content") == sha256
    assert fresh.get(sha256) == b"content"
    alter(url, sha256, other)
    assert fresh.put_file(file_with(tmp_path, b"content"), "weights") == sha256
    assert Blobs(url, tmp_path / "fresher").get(sha256) == b"content"


def test_an_altered_local_copy_is_fetched_anew(s3_url: str, tmp_path: Path) -> None:
    blobs = Blobs(s3_url, tmp_path / "cache")
    sha256 = blobs.put(b"content")
    blobs.local_path(sha256).write_bytes(b"other")
    assert blobs.get(sha256) == b"content"


def test_what_is_deleted_is_gone_and_may_be_deleted_again(blobs: Blobs, tmp_path: Path) -> None:
    sha256 = blobs.put(b"content")
    assert blobs.get(sha256) == b"content"
    blobs.delete(sha256)
    blobs.delete(sha256)
    with pytest.raises(BlobDamaged):
        blobs.get(sha256)
    assert files_under(tmp_path) == []
    assert blobs.get(blobs.put(b"content")) == b"content"


def test_threads_may_store_the_same_blob(blobs: Blobs) -> None:
    content = bytes(200_000)
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: blobs.put(content), range(8)))
    (sha256,) = digests
    assert blobs.get(sha256) == content


# A folder


def test_a_folder_on_the_same_disk_takes_a_file_without_copying_it(tmp_path: Path) -> None:
    path = file_with(tmp_path, b"content")
    blobs = Blobs(str(tmp_path / "blobs"), tmp_path / "cache")
    assert blobs.local_path(blobs.put_file(path, "weights")).samefile(path)
    assert len(files_under(tmp_path)) == 2


def test_a_folder_on_another_disk_takes_a_copy(tmp_path: Path) -> None:
    other_disk = Path("/dev/shm")
    if not other_disk.is_dir() or other_disk.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no /dev/shm, or it is on the disk of the temporary folder")
    path = file_with(tmp_path, b"content")
    with TemporaryDirectory(dir=other_disk) as folder:
        blobs = Blobs(folder, tmp_path / "cache")
        sha256 = blobs.put_file(path, "weights")
        path.write_bytes(b"other")
        assert blobs.get(sha256) == b"content"
        assert len(files_under(Path(folder))) == 1


LARGE = bytes(200_000)


def _with_little_space(url: str, cache_dir: Path, way: str) -> None:
    """In a process that may write no file above 64 kB: what a full disk does, at the same calls."""
    blobs = Blobs(url, cache_dir)
    resource = importlib.import_module("resource")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
    try:
        blobs.put(LARGE) if way == "put" else blobs.get(hashlib.sha256(LARGE).hexdigest())
    except DiskFull:
        sys.exit(28)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("way", ["put", "get"])
def test_a_full_disk_leaves_nothing_behind(way: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path / "blobs") if way == "put" else request.getfixturevalue("s3_url")
    blobs = Blobs(url, tmp_path / "cache")
    if way == "get":
        blobs.put(LARGE)
    process = multiprocessing.get_context("spawn").Process(
        target=_with_little_space, args=(url, tmp_path / "cache", way)
    )
    process.start()
    process.join()
    assert process.exitcode == 28
    assert files_under(tmp_path) == []
    assert blobs.get(blobs.put(LARGE)) == LARGE


# S3


def test_parts_of_a_large_file_become_one(s3_url: str, tmp_path: Path) -> None:
    path = tmp_path / "resume.pt"
    with path.open("wb") as file:
        file.truncate(120 * 2**20)
        file.write(b"the start")
    here, there = (Blobs(s3_url, tmp_path / host) for host in ("here", "there"))
    assert there.local_path(here.put_file(path, "the state")).stat().st_size == 120 * 2**20


def _every_way(blobs: Blobs, path: Path) -> list[Callable[[], object]]:
    return [
        lambda: blobs.put(b"content"),
        lambda: blobs.put_file(path, "weights"),
        lambda: blobs.get(SHA256_OF_CONTENT),
        lambda: blobs.local_path(SHA256_OF_CONTENT),
        lambda: blobs.delete(SHA256_OF_CONTENT),
    ]


def _assert_unavailable(url: str, tmp_path: Path, said: str) -> None:
    for way in _every_way(Blobs(url, tmp_path / "cache"), file_with(tmp_path, b"content")):
        with pytest.raises(BlobStoreUnavailable, match=said) as raised:
            way()
        assert url in raised.value.detail
        assert "AWS_ENDPOINT_URL" in raised.value.detail
    assert files_under(tmp_path) == [tmp_path / "weights.pt"]


@pytest.mark.usefixtures("s3_url")
def test_a_bucket_that_does_not_exist_is_named(tmp_path: Path) -> None:
    _assert_unavailable("s3://no-such-bucket/blobs", tmp_path, "bucket does not exist")


def test_a_server_that_is_down_is_named(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    _assert_unavailable(s3_url, tmp_path, "Could not connect")


def test_wrong_credentials_are_named(s3_url: str, s3_endpoint: str, tmp_path: Path) -> None:
    requests.post(f"{s3_endpoint}/moto-api/reset-auth", data=b"0", timeout=30).raise_for_status()
    try:
        _assert_unavailable(s3_url, tmp_path, "PermissionError")
    finally:
        requests.post(f"{s3_endpoint}/moto-api/reset-auth", data=b"Infinity", timeout=30).raise_for_status()


def test_missing_credentials_are_named(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    S3FileSystem.clear_instance_cache()
    _assert_unavailable(s3_url, tmp_path, "Unable to locate credentials")


def test_a_place_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlobStoreUnavailable, match=r"TMS_BLOB_URL.*s3://bucket/prefix"):
        Blobs("carrier-pigeon://loft", tmp_path)
