"""What is kept of runs and checkpoints, and what goes."""

import sys

import pytest

from core import __main__ as command_line
from core.evaluation.detections import Truth
from core.registry import checkpoints, comparisons, retention
from core.store import Store, runs
from core.store.tables import Checkpoint, Run
from core.trainer import accept
from tests.factories import CLASS_NAMES, image, make_settings, request
from tests.unit.registry.factories import promote, register, scored
from tests.unit.registry.test_judging import make_set


@pytest.fixture
def store(tmp_path):
    with Store.open(make_settings(tmp_path, keep_runs=2, keep_checkpoints=1)) as store:
        yield store


def _run_with_folder(store, *states):
    with store.database.write() as session:
        run_id = accept(session, request(image("http://x/a.png")), source="t", actor="t").id
    for status in states:
        runs.enter(store, run_id, status)
    folder = store.settings.run_folder(run_id)
    folder.mkdir(parents=True)
    (folder / "candidate.pt").write_bytes(b"12345")
    return run_id


def _failed_run(store):
    run_id = _run_with_folder(store)
    runs.fail(store, run_id, {"code": "disk_full", "detail": "There was no space left."})
    return run_id


def _kept(store, *rows):
    with store.database.read() as session:
        return [session.get(Checkpoint, row.id) is not None for row in rows]


def test_only_what_somebody_has_seen_goes_if_they_say_so(store):
    ended = [_failed_run(store) for _ in range(4)]
    assert [one.id for one in retention.tidy(store, {ended[0], ended[3]})] == [ended[0]]
    assert [one.id for one in retention.surplus(store)] == [ended[1]]


def test_folders_of_the_newest_ended_runs_stay(store):
    succeeded = ("preparing", "training", "evaluating", "succeeded")
    ended = [
        _run_with_folder(store, *succeeded),
        _failed_run(store),
        _run_with_folder(store, *succeeded),
        _failed_run(store),
    ]
    waiting = _run_with_folder(store, "preparing")
    found = retention.surplus(store)
    assert [(one.kind, one.id, one.size_bytes) for one in found] == [("run", id_, 5) for id_ in ended[:2]]
    assert all(store.settings.run_folder(id_).is_dir() for id_ in (*ended, waiting))
    assert retention.tidy(store) == found
    left = [store.settings.run_folder(id_).is_dir() for id_ in (*ended, waiting)]
    assert left == [False, False, True, True, True]
    assert retention.tidy(store) == []


def test_what_ledger_descendants_runs_and_people_need_stays(store):
    first, second = register(store, b"1"), register(store, b"2")
    promote(store, first, None)
    promote(store, second, first.id)
    parent = register(store, b"parent")
    child = register(store, b"child", parent_id=parent.id)
    compared = [register(store, b"old"), register(store, b"new")]
    images = make_set()
    seen = [scored(store, one, images, found_share=1) for one in compared]
    comparisons.keep(store, Truth.of(images), *seen, CLASS_NAMES)
    working = register(store, b"working")
    with store.database.write() as session:
        run_id = accept(session, request(image("http://x/a.png")), source="t", actor="t").id
        session.get_one(Run, run_id).checkpoint_id = working.id
    newest = register(store, b"newest")
    assert [one.id for one in retention.tidy(store)] == [child.id]
    assert _kept(store, first, second, parent, *compared, working, newest, child) == [True] * 7 + [False]
    assert not checkpoints.weights_path(store, child.id).exists()
    # Nobody descends from it any more.
    assert [one.id for one in retention.tidy(store)] == [parent.id]


def test_the_command_says_what_would_go_and_then_removes_it(store, monkeypatch, capsys):
    old = register(store, b"old")
    register(store, b"new")
    for name, value in store.settings.environment().items():
        monkeypatch.setenv(name, value)
    for arguments, is_kept, told in ((["--dry-run"], True, "would be freed"), ([], False, "were freed")):
        monkeypatch.setattr(sys, "argv", ["core", "tidy", *arguments])
        assert command_line.main() == 0
        output, error = capsys.readouterr()
        assert output.split("\t")[:2] == ["checkpoint", old.id]
        assert told in error
        assert _kept(store, old) == [is_kept]
