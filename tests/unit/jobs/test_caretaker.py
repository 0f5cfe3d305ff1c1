"""The worker's part of chores: one process at a time, left alone for a while if it ends badly."""

import subprocess
import sys

import pytest

from core.jobs import caretaker, crew, service
from core.jobs.caretaker import Caretaker
from core.store.ids import new_id
from core.store.tables import Batch
from tests.unit.registry.factories import promote, register

WAITS_FOR_ITS_END = "import sys; sys.stdin.read()"
IS_STUCK = "import time; time.sleep(600)"
ENDS_WELL = ""
ENDS_BADLY = "raise SystemExit(1)"


class Starter:
    """Starts processes that do what the test says in place of chores."""

    def __init__(self) -> None:
        self.does = WAITS_FOR_ITS_END
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, settings: object, module: str, *options: str) -> "subprocess.Popen[bytes]":
        assert module == "core.jobs.chores"
        self.options = options
        self.processes.append(subprocess.Popen([sys.executable, "-c", self.does], stdin=subprocess.PIPE))
        return self.processes[-1]


@pytest.fixture
def starter(monkeypatch):
    starter = Starter()
    monkeypatch.setattr(crew, "start", starter)
    yield starter
    for process in starter.processes:
        crew.end(process)


@pytest.fixture
def one(store, starter):
    """A caretaker of a store in which a batch waits."""
    with store.database.write() as session:
        session.add(Batch(id=new_id("batch"), source="api", actor="ada"))
    return Caretaker(store)


def test_where_nothing_waits_nothing_is_started(store, starter):
    assert not Caretaker(store).look()
    assert starter.processes == []


def test_one_process_at_a_time(one, starter):
    assert [one.look() for _ in range(3)] == [True, True, True]
    assert len(starter.processes) == 1


def test_beside_a_run_it_is_told_so(store, one, starter):
    assert not one.look(beside_run=True)
    promote(store, register(store, b"weights"), None)
    assert one.look(beside_run=True)
    assert starter.options == ("--beside-run",)


def test_it_makes_way_when_its_pipe_closes(one, starter):
    one.look()
    one.make_way()
    one.end()
    (process,) = starter.processes
    assert process.returncode == 0


def test_one_that_does_not_end_is_ended(one, starter, monkeypatch):
    monkeypatch.setattr(caretaker, "_GRACE_S", 0.1)
    starter.does = IS_STUCK
    one.look()
    one.make_way()
    one.end()
    (process,) = starter.processes
    assert process.returncode != 0


def test_one_that_ends_badly_is_not_followed_at_once(one, starter, monkeypatch):
    starter.does = ENDS_BADLY
    one.look()
    starter.processes[0].wait()
    assert [one.look() for _ in range(3)] == [False, False, False]
    assert len(starter.processes) == 1
    monkeypatch.setattr(caretaker, "monotonic", lambda: float("inf"))
    assert one.look()
    assert len(starter.processes) == 2


def test_pauses_grow_until_one_ends_well(one, starter, monkeypatch):
    starter.does, pauses = ENDS_BADLY, []
    monkeypatch.setattr(caretaker, "monotonic", lambda: 0.0)
    for _ in range(10):
        one._paused_until_s = 0.0
        one.look()
        starter.processes[-1].wait()
        one.look()
        pauses.append(one._paused_until_s)
    assert pauses[:3] == [5.0, 10.0, 20.0]
    assert pauses[-1] == 600.0
    one._paused_until_s, starter.does = 0.0, ENDS_WELL
    one.look()
    starter.processes[-1].wait()
    assert one.look()
    assert len(starter.processes) == 12


def test_what_waits_needs_a_worker(store, one):
    assert service._need_worker(store)
    with store.database.write() as session:
        session.query(Batch).delete()
    assert not service._need_worker(store)
