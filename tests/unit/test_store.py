"""The store on SQLite and on PostgreSQL: migrations, transactions, runs and their events, blobs."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from core.config import CHECKOUT, Settings
from core.errors import NotFound
from core.schemas import RunStatus
from core.store import Store, run_views, runs, states
from core.store.database import AWAY
from core.store.ids import canonical_digest, new_id
from core.store.tables import Base, Batch, Run, RunEvent, RunTransition, Worker
from tests.factories import image, make_settings, request

STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)
WAYS: dict[RunStatus, tuple[RunStatus, ...]] = {
    "queued": (),
    "preparing": ("preparing",),
    "training": ("preparing", "training"),
    "evaluating": ("preparing", "training", "evaluating"),
    "succeeded": ("preparing", "training", "evaluating", "succeeded"),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
    "interrupted": ("preparing", "interrupted"),
}
LEGAL = {
    ("queued", "preparing"),
    # A run that is taken up again goes on behind the stages it had finished.
    *product(("preparing",), ("training", "evaluating")),
    ("training", "evaluating"),
    ("evaluating", "succeeded"),
    ("interrupted", "queued"),
    *product(("preparing", "training", "evaluating"), ("interrupted",)),
    *product(("queued", "preparing", "training", "evaluating", "interrupted"), ("failed", "cancelled")),
}


def queue(store: Store, **asked: Any) -> str:
    with store.database.write() as session:
        batch = Batch(id=new_id("batch"), source="api", actor="ada", note="a note")
        session.add(batch)
        session.flush()
        return runs.create_run(session, batch, request(image("https://h.example/a.png"), **asked)).id


def at(store: Store, status: RunStatus) -> str:
    run_id = queue(store)
    for step in WAYS[status]:
        runs.enter(store, run_id, step)
    return run_id


def all_at_once(count: int, task: Callable[[int], object]) -> None:
    """Run the task in so many threads and raise what any of them raised."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(task, range(count)))


# Migrations

OPEN = """
import sys
from pathlib import Path
from core.store import Store
from tests.factories import make_settings

Store.open(make_settings(Path(sys.argv[1]), database_url=sys.argv[2])).close()
"""


def test_processes_that_start_at_once_all_migrate(unmigrated_settings: Settings) -> None:
    command = [sys.executable, "-c", OPEN, str(unmigrated_settings.home), unmigrated_settings.database_url]
    started = [subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    outcomes = [(process.communicate()[1], process.returncode) for process in started]
    assert [code for _, code in outcomes] == [0, 0, 0], outcomes
    with Store.open(unmigrated_settings) as store:
        assert run_views.list_runs(store) == []


def test_threads_that_start_at_once_all_migrate(unmigrated_settings: Settings) -> None:
    all_at_once(4, lambda _: Store.open(unmigrated_settings).close())


def test_the_migrations_make_the_tables_that_the_code_knows(any_store: Store) -> None:
    with any_store.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_make_the_checks_that_the_code_knows(any_store: Store) -> None:
    """Alembic does not compare these."""
    inspector = sa.inspect(any_store.database.engine)
    for table in Base.metadata.tables.values():
        known = {
            constraint.name for constraint in table.constraints if isinstance(constraint, sa.CheckConstraint)
        }
        assert {found["name"] for found in inspector.get_check_constraints(table.name)} == known


def test_opening_again_keeps_what_is_there(unmigrated_settings: Settings) -> None:
    with Store.open(unmigrated_settings) as store:
        run_id = queue(store)
    with Store.open(unmigrated_settings) as store:
        assert run_views.get_run(store, run_id).status == "queued"


def test_one_migration_leads_from_nothing_to_the_newest(tmp_path: Path) -> None:
    files = (CHECKOUT / "core/store/migrations/versions").glob("[0-9]*.py")
    numbers = sorted(int(file.name.split("_")[0]) for file in files)
    assert numbers == list(range(1, len(numbers) + 1))


# Transactions


def test_writers_wait_for_each_other(any_store: Store) -> None:
    """Each reads and then writes: without a lock at the start, SQLite fails one of them at once."""
    with any_store.database.write() as session:
        session.add(Batch(id="b", source="api", actor="ada", note="0"))

    def count(_: int) -> None:
        for _ in range(15):
            with any_store.database.write() as session:
                batch = session.get_one(Batch, "b", with_for_update=True)
                batch.note = str(int(batch.note or 0) + 1)

    all_at_once(4, count)
    with any_store.database.read() as session:
        assert session.get_one(Batch, "b").note == "60"


@pytest.mark.postgres
def test_a_host_that_freezes_in_the_middle_of_a_write_holds_nobody_up_for_good(
    settings: Settings, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store.database._MOST_IDLE_IN_TRANSACTION_S", 1)
    with Store.open(settings.model_copy(update={"database_url": postgres_url})) as store:
        run_id = queue(store)
        frozen = store.database.write()
        runs.locked(frozen.__enter__(), run_id).note = "never told"
        with store.database.write() as session:
            runs.locked(session, run_id).note = "told"
        with pytest.raises(AWAY):
            frozen.__exit__(None, None, None)
        assert runs.get_row(store, run_id).note == "told"


def test_a_reader_is_not_held_up_by_a_writer(any_store: Store) -> None:
    run_id = queue(any_store)
    with any_store.database.write() as session:
        session.get_one(Run, run_id, with_for_update=True).status = "preparing"
        session.flush()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(run_views.get_run, any_store, run_id).result(timeout=20).status == "queued"


def test_a_block_that_raises_changes_nothing(any_store: Store) -> None:
    def fail_half_way() -> None:
        with any_store.database.write() as session:
            session.add(Batch(id="b", source="api", actor="ada"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    with any_store.database.read() as session:
        assert session.get(Batch, "b") is None


def _run(**changes: Any) -> Run:
    facts = {"batch_id": "b", "source": "api", "actor": "ada", "image_count": 1, "request": {}}
    return Run(id="r", **(facts | changes))


@pytest.mark.parametrize(
    "broken",
    [
        lambda: _run(batch_id="none"),
        lambda: _run(status="dreaming"),
        lambda: RunEvent(run_id="none", seq=1, kind="log", payload={}),
    ],
    ids=["unknown batch", "unknown status", "unknown run"],
)
def test_the_database_itself_refuses_nonsense(any_store: Store, broken: Callable[[], Base]) -> None:
    with any_store.database.write() as session:
        session.add(Batch(id="b", source="api", actor="ada"))
    with pytest.raises(sa.exc.IntegrityError), any_store.database.write() as session:
        session.add(broken())


def test_times_come_back_in_utc(any_store: Store) -> None:
    tokyo = datetime(2024, 5, 1, 9, 30, tzinfo=timezone(timedelta(hours=9)))
    with any_store.database.write() as session:
        session.add(Worker(id="w", host="h", pid=1, device="cpu", heartbeat_at=tokyo))
    with any_store.database.read() as session:
        kept = session.get_one(Worker, "w").heartbeat_at
    assert kept == tokyo
    assert kept.utcoffset() == timedelta(0)
    assert kept.tzinfo is not None


def test_sqlite_is_set_up_for_several_processes(store: Store) -> None:
    with store.database.read() as session:
        pragmas = {
            name: session.execute(sa.text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000}


# Runs


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_only_the_transitions_of_the_table_are_possible(
    store: Store, before: RunStatus, after: RunStatus
) -> None:
    run_id = at(store, before)
    if (before, after) in LEGAL or before == after:
        runs.enter(store, run_id, after)
        assert run_views.get_run(store, run_id).status == after
        return
    with pytest.raises(runs.IllegalTransition, match=f"{before}; it cannot become {after}"):
        runs.enter(store, run_id, after)
    assert run_views.get_run(store, run_id).status == before


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_the_database_itself_refuses_every_other_step(
    any_store: Store, before: RunStatus, after: RunStatus
) -> None:
    run_id = at(any_store, before)
    step = sa.update(Run).where(Run.id == run_id).values(status=after)
    if (before, after) in LEGAL or before == after:
        with any_store.database.write() as session:
            session.execute(step)
        return
    with pytest.raises(sa.exc.IntegrityError, match="does not follow"), any_store.database.write() as session:
        session.execute(step)


def test_the_table_of_transitions_is_the_one_of_the_code(any_store: Store) -> None:
    with any_store.database.read() as session:
        kept = {(row.from_status, row.to_status) for row in session.scalars(sa.select(RunTransition))}
    assert kept == {(before, after) for before, following in states.NEXT.items() for after in following}
    assert kept == LEGAL


def test_a_stage_may_be_entered_twice_and_is_told_once(any_store: Store) -> None:
    run_id = at(any_store, "training")
    runs.enter(any_store, run_id, "training", dataset_digest=None)
    told = [event.payload["status"] for event in runs.events_after(any_store, run_id, kinds=("status",))]
    assert told == ["preparing", "training"]


@pytest.mark.parametrize("ended", ["succeeded", "failed", "cancelled"])
def test_failing_does_not_overwrite_an_end(any_store: Store, ended: RunStatus) -> None:
    run_id = at(any_store, ended)
    runs.fail(any_store, run_id, {"code": "late"})
    view = run_views.get_run(any_store, run_id)
    assert (view.status, view.error) == (ended, None)


@pytest.mark.parametrize("before", ["queued", "preparing", "training", "evaluating", "interrupted"])
def test_a_failure_is_kept_with_its_reason(any_store: Store, before: RunStatus) -> None:
    run_id = at(any_store, before)
    runs.fail(any_store, run_id, {"code": "runner_died", "detail": "it died"})
    view = run_views.get_run(any_store, run_id)
    assert (view.status, view.error) == ("failed", {"code": "runner_died", "detail": "it died"})
    assert view.finished_at is not None


def test_times_of_a_run(any_store: Store) -> None:
    run_id = queue(any_store)
    view = run_views.get_run(any_store, run_id)
    assert (view.started_at, view.finished_at) == (None, None)
    runs.enter(any_store, run_id, "preparing")
    started = run_views.get_run(any_store, run_id).started_at
    runs.enter(any_store, run_id, "interrupted")
    runs.enter(any_store, run_id, "queued")
    runs.enter(any_store, run_id, "preparing")
    view = run_views.get_run(any_store, run_id)
    assert started is not None
    assert (view.started_at, view.finished_at) == (started, None)
    assert datetime.fromisoformat(started).tzinfo == UTC
    runs.enter(any_store, run_id, "cancelled")
    assert run_views.get_run(any_store, run_id).finished_at is not None


def test_the_request_is_kept_without_its_images(any_store: Store) -> None:
    run_id = queue(any_store, epochs=3, promotion="manual")
    with any_store.database.read() as session:
        kept = session.get_one(Run, run_id).request
    assert (kept["epochs"], kept["promotion"], "images" in kept) == (3, "manual", False)


def test_the_queue_is_in_the_order_of_asking(any_store: Store) -> None:
    first, second, third = (queue(any_store) for _ in range(3))
    assert [run_views.get_run(any_store, one).queue_position for one in (first, second, third)] == [0, 1, 2]
    runs.enter(any_store, first, "preparing")
    assert [run_views.get_run(any_store, one).queue_position for one in (first, second, third)] == [
        None,
        0,
        1,
    ]


def test_lists_are_newest_first_paged_and_filtered(any_store: Store) -> None:
    ids = [queue(any_store) for _ in range(5)]
    runs.enter(any_store, ids[2], "preparing")
    listed = run_views.list_runs(any_store, limit=2)
    assert [view.id for view in listed] == [ids[4], ids[3]]
    assert [view.id for view in run_views.list_runs(any_store, before=ids[3])] == [ids[2], ids[1], ids[0]]
    assert [view.id for view in run_views.list_runs(any_store, status="preparing")] == [ids[2]]
    counts = run_views.count_by_status(any_store)
    assert (counts["queued"], counts["preparing"], counts["failed"]) == (4, 1, 0)
    assert set(counts) == set(STATUSES)


def test_an_unknown_run(any_store: Store) -> None:
    for ask in (
        lambda: run_views.get_run(any_store, "run-none"),
        lambda: runs.enter(any_store, "run-none", "preparing"),
        lambda: runs.fail(any_store, "run-none", {}),
    ):
        with pytest.raises(NotFound, match="run-none"):
            ask()


def test_events_are_numbered_without_gaps_by_writers_at_once(any_store: Store) -> None:
    run_id, other = queue(any_store), queue(any_store)

    def write(writer: int) -> None:
        for number in range(10):
            runs.add_event(any_store, run_id, "log", {"line": f"{writer}.{number}"})
            if number == 5:
                runs.add_event(any_store, other, "log", {"line": "other"})

    all_at_once(4, write)
    events = runs.events_after(any_store, run_id)
    assert [event.seq for event in events] == list(range(1, 41))
    for writer in range(4):
        lines = [event.payload["line"] for event in events if event.payload["line"][0] == str(writer)]
        assert lines == [f"{writer}.{number}" for number in range(10)]
    assert [event.seq for event in runs.events_after(any_store, other)] == [1, 2, 3, 4]


def test_events_after_one_of_a_kind(any_store: Store) -> None:
    run_id = at(any_store, "preparing")
    for number in range(3):
        runs.add_event(any_store, run_id, "phase", {"done": number})
    assert [event.seq for event in runs.events_after(any_store, run_id, 2)] == [3, 4]
    assert [event.payload for event in runs.events_after(any_store, run_id, 1, ("phase", "log"))] == [
        {"done": 0},
        {"done": 1},
        {"done": 2},
    ]


# Ids


def test_ids_are_unique_and_sorted_by_time() -> None:
    ids = [new_id("run") for _ in range(5_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5_000
    assert ids[0].startswith("run-")


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_digest({"a": 1, "b": [1.5, None]}) == canonical_digest({"b": [1.5, None], "a": 1})
    assert canonical_digest([1, 2]) != canonical_digest([2, 1])
    with pytest.raises(ValueError, match="JSON"):
        canonical_digest({"a": float("nan")})


def test_a_new_home_gets_its_folders(tmp_path: Path) -> None:
    home = tmp_path / "new home" / "with ünïcode"
    with Store.open(make_settings(home)) as store:
        queue(store)
    assert {path.name for path in home.iterdir()} == {"data", "finetune_weight", "logs", "runs"}


def test_databases_of_a_kind_share_compiled_statements(store, tmp_path):
    with Store.open(make_settings(tmp_path / "other"), like=store.database) as other:
        query = sa.select(Run).where(Run.id == "none")
        with other.database.read() as session:
            assert session.scalar(query) is None
        compiled = len(store.database.engine._compiled_cache)
        with store.database.read() as session:
            assert session.scalar(query) is None
        assert len(store.database.engine._compiled_cache) == compiled
