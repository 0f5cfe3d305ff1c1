"""Which batches wait for what no run does, and what becomes of attempts at them."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from core.store import Store, chores, runs
from core.store.ids import new_id
from core.store.tables import Batch, utc_now
from tests.factories import image, request
from tests.unit.registry.factories import promote, register

NOW = utc_now()
DONE = {"taken_in_at": NOW, "predicted_at": NOW}


def make(store: Store, run: str | None = None, learns_from: str = "batch", **facts) -> str:
    """A batch; with a run in the given state if one is named."""
    with store.database.write() as session:
        batch = Batch(id=new_id("batch"), source="api", actor="ada", **facts)
        session.add(batch)
        session.flush()
        if run is not None:
            made = runs.create_run(session, batch, request(image("http://x/1")))
            made.learns_from = learns_from
            for step in {"queued": (), "preparing": ("preparing",), "failed": ("failed",)}[run]:
                runs.move(session, made, step)
        return batch.id


def due(store: Store) -> bool:
    with store.database.read() as session:
        return chores.is_any_due(session)


def get(store: Store, batch_id: str) -> Batch:
    with store.database.read() as session:
        return session.get_one(Batch, batch_id)


def pass_by(store: Store, batch_id: str, time: timedelta) -> None:
    """Let time go by for a batch, as if its attempts lay further back."""
    with store.database.write() as session:
        batch = session.get_one(Batch, batch_id)
        batch.chore_due_at -= time


@pytest.mark.parametrize(
    ("facts", "is_due"),
    [
        ({}, True),
        ({"run": "failed"}, True),
        ({"run": "queued"}, False),
        ({"run": "preparing"}, False),
        ({"run": "preparing", "learns_from": "approved"}, True),
        ({"taken_in_at": NOW}, True),
        ({"taken_in_at": NOW, "run": "preparing"}, True),
        (DONE, False),
        ({"taken_in_at": NOW, "predicted_at": NOW - timedelta(seconds=1)}, True),
        ({"predicted_at": NOW}, True),
        ({"chore_due_at": NOW - timedelta(seconds=1)}, True),
        ({"chore_due_at": NOW + timedelta(minutes=30)}, False),
        ({"chore_due_at": NOW + timedelta(days=300)}, True),
    ],
    ids=[
        "new", "its run failed", "its run is queued", "its run takes it in", "a run has all that is approved",
        "to be looked at", "to be looked at while a run learns", "done", "taken in again", "repaired",
        "after its pause", "in its pause", "the clock was set back",
    ],
)  # fmt: skip
def test_what_waits(any_store: Store, facts, is_due):
    make(any_store, **DONE)
    batch_id = make(any_store, **facts)
    assert due(any_store) is is_due
    begun = chores.begin_next(any_store)
    assert (begun.id if begun else None) == (batch_id if is_due else None)


def test_beside_a_run_only_intake_is_done_and_only_when_something_is_live(any_store: Store):
    make(any_store, taken_in_at=NOW)
    batch_id = make(any_store)
    assert chores.begin_next(any_store, beside_run=True) is None
    promote(any_store, register(any_store, b"weights"), None)
    assert chores.begin_next(any_store, beside_run=True).id == batch_id
    assert chores.begin_next(any_store, beside_run=True) is None


def test_the_question_is_answered_from_the_index_of_those_that_wait(any_store: Store):
    with any_store.database.write() as session:
        rows = [
            {"id": f"batch-{number:05d}", "source": "api", "actor": "a", **DONE} for number in range(3_000)
        ]
        session.execute(sa.insert(Batch), rows)
        session.execute(sa.text("ANALYZE"))
    asked = []

    @sa.event.listens_for(any_store.database.engine, "before_cursor_execute")
    def remember(connection, cursor, statement, parameters, *_):
        if "FROM batch" in statement:
            asked.append((statement, parameters))

    assert not due(any_store)
    ((statement, parameters),) = asked
    explain = "EXPLAIN QUERY PLAN" if any_store.database.is_sqlite else "EXPLAIN"
    with any_store.database.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    assert "batch_with_chore" in str(plan)


def test_the_oldest_is_begun_first_and_one_in_its_pause_holds_nobody_up(any_store: Store):
    first, second = make(any_store), make(any_store)
    assert [chores.begin_next(any_store).id for _ in range(2)] == [first, second]
    assert chores.begin_next(any_store) is None


def test_an_attempt_that_ends_without_a_word_counts_as_failed(any_store: Store):
    batch_id = make(any_store)
    pauses = []
    for _ in range(8):
        batch = chores.begin_next(any_store)
        pauses.append(batch.chore_due_at - utc_now())
        assert "ended before it was done" in batch.chore_error
        assert not due(any_store)
        pass_by(any_store, batch_id, pauses[-1])
    expected = [chores.pause_after(attempt) for attempt in range(1, 9)]
    assert all(
        abs(seen - wanted) < timedelta(seconds=5) for seen, wanted in zip(pauses, expected, strict=True)
    )
    assert expected == sorted(expected)
    assert (expected[0], expected[-1]) == (chores.FIRST_PAUSE, chores.LONGEST_PAUSE)


def test_an_attempt_that_got_on_is_soon_followed_by_the_next(any_store: Store):
    batch_id = make(any_store)
    for _ in range(4):
        chores.begin_next(any_store)
        pass_by(any_store, batch_id, chores.LONGEST_PAUSE)
    with any_store.database.write() as session:
        chores.got_on(session, batch_id)
    batch = get(any_store, batch_id)
    assert (batch.chore_attempts, batch.chore_due_at - utc_now() <= chores.FIRST_PAUSE) == (1, True)


def test_who_is_no_attempt_leaves_no_trace_of_one(any_store: Store):
    batch_id = make(any_store, taken_in_at=NOW)
    with any_store.database.write() as session:
        chores.got_on(session, batch_id)
    assert (get(any_store, batch_id).chore_attempts, due(any_store)) == (0, True)


def test_a_pause_is_no_failure(any_store: Store):
    batch_id = make(any_store)
    chores.begin_next(any_store)
    chores.pause(any_store, batch_id)
    batch = get(any_store, batch_id)
    assert (batch.chore_attempts, batch.chore_due_at, batch.chore_error) == (0, None, None)


def test_a_failure_keeps_its_reason_until_it_is_done_after_all(any_store: Store):
    batch_id = make(any_store, taken_in_at=NOW)
    chores.begin_next(any_store)
    chores.fail(any_store, batch_id, "The weights are damaged.")
    assert get(any_store, batch_id).chore_error == "The weights are damaged."
    assert not due(any_store)
    pass_by(any_store, batch_id, chores.LONGEST_PAUSE)
    chores.done(any_store, chores.begin_next(any_store))
    batch = get(any_store, batch_id)
    assert (batch.chore_attempts, batch.chore_due_at, batch.chore_error) == (0, None, None)
    assert batch.predicted_at is not None
    assert not due(any_store)


def test_what_was_taken_in_during_an_attempt_still_waits(any_store: Store):
    batch_id = make(any_store, taken_in_at=NOW)
    begun = chores.begin_next(any_store)
    with any_store.database.write() as session:
        session.get_one(Batch, batch_id).taken_in_at = utc_now()
    chores.done(any_store, begun)
    assert due(any_store)


def test_a_batch_that_was_taken_in_by_a_clock_ahead_is_done_once(any_store: Store):
    make(any_store, taken_in_at=utc_now() + timedelta(hours=3))
    chores.done(any_store, chores.begin_next(any_store))
    assert not due(any_store)


def test_a_batch_is_scored_again_when_it_was_left_alone_for_a_while(any_store: Store):
    batch_id = make(any_store, **DONE)
    with any_store.database.write() as session:
        chores.score_again(session.get_one(Batch, batch_id))
    assert not due(any_store)
    pass_by(any_store, batch_id, chores.EDITING_PAUSE)
    assert due(any_store)
