"""How much is kept, and where."""

from pathlib import Path

import pytest

from core.store import Store
from core.store.usage import measure
from tests.factories import make_settings


def _write(path: Path, size_bytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)
    return path


def test_each_place_is_measured_by_itself(store: Store) -> None:
    settings = store.settings
    store.blobs.put(b"i" * 1_000)
    _write(settings.weights_dir / "ckpt-1" / "weights.pt", 20)
    _write(settings.runs_dir / "run-1" / "dataset" / "a.jpg", 300)
    _write(settings.log_path("run-1"), 4)
    _write(settings.demo_dir / "baseline.pt", 50_000)
    _write(settings.blob_cache_dir / "ab" / "abc", 600_000)
    found = measure(store)
    assert (found.blobs, found.weights, found.runs, found.logs) == (1_000, 20, 300, 4)
    assert found.caches == 650_000
    assert found.database >= (settings.data_dir / "tms.sqlite").stat().st_size
    assert 0 < found.disk_free < found.disk_total


def test_a_resume_state_is_counted_once(store: Store) -> None:
    state = _write(store.settings.run_folder("run-1") / "resume.pt", 700)
    store.blobs.put_file(state, "a resume state")
    assert state.stat().st_nlink == 2
    found = measure(store)
    assert (found.blobs, found.runs) == (700, 0)


def test_links_are_not_followed(store: Store, tmp_path: Path) -> None:
    _write(tmp_path / "elsewhere" / "large.bin", 9_000)
    store.settings.runs_dir.mkdir(exist_ok=True)
    (store.settings.runs_dir / "link").symlink_to(tmp_path / "elsewhere")
    (store.settings.runs_dir / "file").symlink_to(tmp_path / "elsewhere" / "large.bin")
    assert measure(store).runs == 0


def test_an_object_store_is_measured_too(tmp_path: Path) -> None:
    with Store.open(make_settings(tmp_path, blob_url="memory://tms-usage")) as store:
        assert measure(store).blobs == 0
        store.blobs.put(b"i" * 1_000)
        store.blobs.put(b"j" * 20)
        assert measure(store).blobs == 1_020


@pytest.mark.postgres
def test_postgresql_tells_its_size(tmp_path: Path, postgres_url: str) -> None:
    with Store.open(make_settings(tmp_path, database_url=postgres_url)) as store:
        assert measure(store).database > 100_000
