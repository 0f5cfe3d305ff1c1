import importlib
import io
import multiprocessing
import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.config import Settings
from core.errors import CheckpointDamaged, ClaimLost, DiskFull, PublishFailed
from core.registry import checkpoints, publish
from core.registry.files import Replacement
from core.store import Store, claims
from core.trainer import accept
from tests.factories import request
from tests.processes import wait_until
from tests.unit.registry.factories import promote, register, shown


def test_promotion_writes_file_champion_and_ledger(store):
    assert publish.champion(store) is None
    baseline = register(store, b"old weights")
    assert promote(store, baseline, None)
    better = register(store, b"new weights", baseline.id)
    assert promote(store, better, baseline.id)
    assert publish.champion(store).id == better.id
    assert publish.published_path(store).read_bytes() == b"new weights"
    newest, oldest = publish.ledger(store)
    _, champion = shown(store)
    assert (champion["id"], champion["promoted_by"], champion["reason"]) == (better.id, "anna", "better")
    assert champion["promoted_at"] == newest.created_at.isoformat()
    assert (newest.checkpoint_id, newest.previous_id) == (better.id, baseline.id)
    assert (oldest.checkpoint_id, oldest.previous_id) == (baseline.id, None)


def test_promoting_what_is_live_again_adds_no_row(store):
    baseline = register(store, b"old weights")
    assert promote(store, baseline, None)
    publish.published_path(store).unlink()
    assert promote(store, baseline, None)
    assert len(publish.ledger(store)) == 1
    assert publish.published_path(store).read_bytes() == b"old weights"


def test_a_candidate_judged_against_a_champion_that_left_is_not_published(store):
    first, second, late = (register(store, content) for content in (b"1", b"2", b"3"))
    promote(store, first, None)
    promote(store, second, first.id)
    assert not promote(store, late, first.id)
    assert publish.champion(store).id == second.id
    assert publish.published_path(store).read_bytes() == b"2"


def test_a_run_that_promoted_is_not_told_that_it_was_held(any_store):
    first, second, third = (register(any_store, content) for content in (b"1", b"2", b"3"))
    assert promote(any_store, first, None)
    assert promote(any_store, second, first.id, run_id="run-2")
    assert promote(any_store, third, second.id, run_id="run-3")
    # Killed after its promotion, the second run is walked again.
    assert promote(any_store, second, first.id, run_id="run-2")
    assert shown(any_store)[0] == b"3"
    assert len(publish.ledger(any_store)) == 3
    for other in ("run-3", None):
        assert not promote(any_store, second, first.id, run_id=other)


def test_whoever_lost_its_run_publishes_nothing(any_store):
    first, second = register(any_store, b"1"), register(any_store, b"2")
    assert promote(any_store, first, None)
    publish.write_last_metrics(any_store, {"fitness": 0.5})
    with any_store.database.write() as session:
        run_id = accept(
            session, request({"image_url": "http://x/a", "detections": []}), source="t", actor="t"
        ).id
    owner = claims.under(any_store, claims.take_next(any_store, "owner"))
    publish.write_last_metrics(owner, {"fitness": 0.6})
    claims.put_back_runs_of(any_store, "owner")
    before = sorted((path.name, path.read_bytes()) for path in any_store.settings.weights_dir.glob("*.*"))
    with pytest.raises(ClaimLost, match=run_id):
        publish.write_last_metrics(owner, {"fitness": 0.7})
    with pytest.raises(ClaimLost, match=run_id):
        promote(owner, second, first.id)
    assert (
        sorted((path.name, path.read_bytes()) for path in any_store.settings.weights_dir.glob("*.*"))
        == before
    )
    assert '"fitness": 0.6' in (any_store.settings.weights_dir / "last_metrics.json").read_text()


def test_damaged_weights_are_not_published(store):
    baseline, damaged = register(store, b"old weights"), register(store, b"new weights")
    promote(store, baseline, None)
    checkpoints.weights_path(store, damaged.id).write_bytes(b"other bytes")
    store.blobs.delete(damaged.sha256)
    with pytest.raises(CheckpointDamaged, match="roll back"):
        promote(store, damaged, baseline.id)
    assert publish.champion(store).id == baseline.id
    assert publish.published_path(store).read_bytes() == b"old weights"


def _promote_with_little_space(settings: Settings, checkpoint_id: str, instead_of: str) -> None:
    """In a process that may write no file above 64 kB: what a full disk does, at the same calls."""
    with Store.open(settings) as store:
        candidate = checkpoints.get(store, checkpoint_id)
        resource = importlib.import_module("resource")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
        try:
            promote(store, candidate, instead_of)
        except DiskFull:
            sys.exit(28)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_disk_that_fills_up_while_publishing_changes_nothing(store):
    baseline, large = register(store, b"old weights"), register(store, bytes(200_000))
    promote(store, baseline, None)
    before = sorted((path.name, path.read_bytes()) for path in store.settings.weights_dir.glob("*.*"))
    process = multiprocessing.get_context("spawn").Process(
        target=_promote_with_little_space, args=(store.settings, large.id, baseline.id)
    )
    process.start()
    process.join()
    assert process.exitcode == 28
    assert sorted((path.name, path.read_bytes()) for path in store.settings.weights_dir.glob("*.*")) == before
    assert publish.champion(store).id == baseline.id
    assert promote(store, large, baseline.id)


def test_files_of_a_replacement_change_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old a")
    with Replacement() as new:
        new.add_text(tmp_path / "a", "new a", "a")
        with pytest.raises(FileNotFoundError):
            new.add_copy(tmp_path / "b", tmp_path / "nothing", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old a"


# What a publication that was broken off leaves behind


def _published(store):
    return {path.name: path.read_bytes() for path in store.settings.weights_dir.iterdir() if path.is_file()}


def _note(store):
    return store.settings.data_dir / "publish.unfinished"


def test_new_weights_beside_the_old_manifest_are_taken_back(store):
    assert promote(store, register(store, b"old weights"), None)
    before = _published(store)
    # Where a process is killed between the two renames.
    _note(store).touch()
    publish.published_path(store).write_bytes(b"new weights")
    assert publish.follow(store)
    assert _published(store) == before
    assert not _note(store).exists()
    assert not publish.follow(store, thoroughly=True)


def test_what_was_written_aside_is_cleared_away(store):
    assert promote(store, register(store, b"old weights"), None)
    before = _published(store)
    _note(store).touch()
    for name in before:
        (store.settings.weights_dir / f".{name}.0123").write_bytes(b"half")
    assert not publish.follow(store)
    assert _published(store) == before


def test_a_failure_between_files_and_ledger_takes_the_files_back_at_once(store):
    first, second = register(store, b"old weights"), register(store, b"new weights")
    promote(store, first, None)
    before, seen = _published(store), []

    def fail(_):
        seen.append(publish.published_path(store).read_bytes())
        raise OSError("the disk of the database is gone")

    sa.event.listen(Session, "before_commit", fail)
    try:
        with pytest.raises(OSError, match="is gone"):
            promote(store, second, first.id)
    finally:
        sa.event.remove(Session, "before_commit", fail)
    assert seen == [b"new weights"]
    assert _published(store) == before
    assert not _note(store).exists()
    assert len(publish.ledger(store)) == 1
    assert promote(store, second, first.id)


def test_published_weights_that_were_spoiled_are_found_by_a_thorough_look(store):
    assert promote(store, register(store, b"weights"), None)
    publish.published_path(store).write_bytes(b"spoiled")
    assert not publish.follow(store)
    assert publish.follow(store, thoroughly=True)
    assert shown(store)[0] == b"weights"


def test_a_copy_that_reads_back_differently_is_not_published(store, monkeypatch):
    first, second = register(store, b"old weights"), register(store, b"new weights")
    promote(store, first, None)
    before, real = _published(store), shutil.copyfileobj
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", lambda source, target: real(io.BytesIO(b"bad memory"), target))
        with pytest.raises(PublishFailed, match="not what is read back"):
            promote(store, second, first.id)
    assert _published(store) == before
    assert publish.champion(store).id == first.id


def test_a_file_that_cannot_be_replaced_leaves_what_was_live(store, monkeypatch):
    first, second = register(store, b"old weights"), register(store, b"new weights")
    promote(store, first, None)
    before = _published(store)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", Mock(side_effect=PermissionError(13, "in use")))
        with pytest.raises(PublishFailed, match="On Windows a reader"):
            promote(store, second, first.id)
    assert _published(store) == before
    assert publish.champion(store).id == first.id


# Two hosts


def test_a_host_follows_what_another_promotes(hosts):
    here, there = hosts
    assert not publish.follow(there)
    baseline, better = register(here, b"old weights"), register(there, b"new weights")
    assert promote(here, baseline, None)
    assert publish.follow(there)
    assert not publish.follow(there)
    assert not publish.follow(here)
    assert shown(there) == shown(here)
    assert shown(there)[0] == b"old weights"
    assert promote(there, better, baseline.id)
    assert publish.follow(here)
    assert shown(here) == shown(there)
    assert (shown(here)[0], shown(here)[1]["id"]) == (b"new weights", better.id)


def test_a_champion_that_comes_back_is_shown_with_its_new_promotion(hosts):
    here, there = hosts
    first, second = register(here, b"1"), register(here, b"2")
    assert promote(here, first, None)
    publish.follow(there)
    assert promote(here, second, first.id)
    assert promote(here, first, second.id)
    assert publish.follow(there)
    assert shown(there)[1]["promoted_at"] == publish.ledger(here)[0].created_at.isoformat()


@pytest.mark.parametrize("torn", ["", "{", "[]", None])
def test_files_that_are_not_those_of_the_ledger_are_mended(store, torn):
    assert promote(store, register(store, b"weights"), None)
    before = shown(store)
    if torn is None:
        publish.published_path(store).unlink()
    else:
        (store.settings.weights_dir / "champion.json").write_text(torn)
    assert publish.follow(store)
    assert shown(store) == before


def test_a_champion_that_cannot_be_fetched_leaves_the_old_files(hosts):
    here, there = hosts
    first, second = register(here, b"1"), register(here, b"2")
    assert promote(here, first, None)
    publish.follow(there)
    before = shown(there)
    assert promote(here, second, first.id)
    here.blobs.delete(second.sha256)
    with pytest.raises(CheckpointDamaged):
        publish.follow(there)
    assert shown(there) == before


def _is_ready(store):
    return any(store.settings.weights_dir.glob(".champion.json.*"))


def _count_waiting(store):
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with store.database.read() as session:
        return session.scalar(sa.text(query))


def test_of_two_hosts_that_promote_at_once_one_wins(hosts):
    here, there = hosts
    baseline = register(here, b"old weights")
    assert promote(here, baseline, None)
    candidates = register(here, b"of here"), register(there, b"of there")
    with ThreadPoolExecutor(2) as pool:
        with here.database.write() as session:
            here.database.exclusive(session, checkpoints.LEDGER_LOCK)
            promoting = [
                pool.submit(promote, *each, baseline.id) for each in zip(hosts, candidates, strict=True)
            ]
            wait_until(lambda: all(map(_is_ready, hosts)), timeout_s=20)
            if not here.database.is_sqlite:
                wait_until(lambda: _count_waiting(here) == 2)
        outcomes = [each.result(timeout=60) for each in promoting]
    assert sorted(outcomes) == [False, True]
    winner = candidates[outcomes.index(True)]
    assert [entry.checkpoint_id for entry in publish.ledger(here)] == [winner.id, baseline.id]
    assert [publish.follow(store) for store in hosts] == [not won for won in outcomes]
    assert shown(here) == shown(there)
    assert shown(here)[1]["id"] == publish.champion(there).id == winner.id
