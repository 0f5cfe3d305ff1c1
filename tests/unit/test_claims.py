"""Who works on a run: one owner at a time, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from core.errors import ClaimLost, NotFound, RunCancelled, RunEnded, RunnerDied, RunNotRetryable
from core.store import claims, run_views, runs
from core.store.claims import MOST_SETBACKS, SILENT_BEFORE_TAKEOVER_S, Watch
from core.store.ids import new_id
from core.store.run_views import QueueOutlook
from core.store.tables import Batch, LedgerEntry
from tests.factories import image, request, save_epoch


@pytest.fixture
def store(any_store):
    return any_store


def queue(store, **asked):
    with store.database.write() as session:
        batch = Batch(id=new_id("batch"), source="api", actor="ada")
        session.add(batch)
        session.flush()
        return runs.create_run(session, batch, request(image("https://h.example/a.png"), **asked)).id


def status(store, run_id):
    return runs.get_row(store, run_id).status


class Clock:
    """A monotonic clock that goes on only when told."""

    now_s = 1_000.0

    def __call__(self):
        return self.now_s


def test_the_run_that_waited_longest_is_taken_first(store):
    first, second = queue(store), queue(store)
    assert claims.take_next(store, "a").run_id == first
    assert claims.take_next(store, "b").run_id == second
    assert claims.take_next(store, "c") is None
    assert (status(store, first), runs.get_row(store, first).owner_id) == ("preparing", "a")


def test_many_workers_at_once_take_each_run_once(store):
    waiting = {queue(store) for _ in range(6)}
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda worker: claims.take_next(store, f"w{worker}"), range(12)))
    # A worker may find its run locked by another and take none this time.
    while claim := claims.take_next(store, "late"):
        taken.append(claim)
    assert sorted(claim.run_id for claim in taken if claim) == sorted(waiting)


def test_a_write_under_an_old_fence_is_refused_and_changes_nothing(store):
    run_id = queue(store)
    old = claims.take_next(store, "a")
    zombie = claims.under(store, old)
    claims.put_back_runs_of(store, "a")
    new = claims.take_next(store, "b")
    assert new.fence > old.fence
    for write in (
        lambda: runs.enter(zombie, run_id, "training"),
        lambda: runs.add_event(zombie, run_id, "log", {}),
        lambda: runs.fail(zombie, run_id, {}),
        lambda: save_epoch(zombie, run_id, {"epoch": 1}, "sha1"),
    ):
        with pytest.raises(ClaimLost):
            write()
    claims.hand_back(store, old)
    claims.end_cancelled(store, old)
    assert (status(store, run_id), runs.get_row(store, run_id).owner_id) == ("preparing", "b")


def test_between_put_back_and_taken_again_the_old_owner_is_refused_too(store):
    run_id = queue(store)
    zombie = claims.under(store, claims.take_next(store, "a"))
    claims.put_back_runs_of(store, "a")
    with pytest.raises(ClaimLost):
        runs.add_event(zombie, run_id, "log", {})


def test_an_ended_run_takes_no_more_writes_of_its_owner(store):
    run_id = queue(store)
    owned = claims.under(store, claims.take_next(store, "a"))
    runs.fail(owned, run_id, {"code": "x"})
    with pytest.raises(ClaimLost):
        runs.add_event(owned, run_id, "log", {})


def test_a_run_whose_owner_falls_silent_is_put_back_and_one_that_beats_is_not(store):
    silent, alive = queue(store), queue(store)
    claims.take_next(store, "a")
    claim = claims.take_next(store, "b")
    clock = Clock()
    watch = Watch(store, clock)
    assert watch.look() == []
    for _ in range(2):
        clock.now_s += SILENT_BEFORE_TAKEOVER_S / 2
        with store.database.write() as session:
            claims.beat(session, claim)
        put_back = watch.look()
    assert put_back == [silent]
    assert (status(store, silent), status(store, alive)) == ("queued", "preparing")
    told = [event.payload["status"] for event in runs.events_after(store, silent, kinds=("status",))]
    assert told == ["preparing", "interrupted", "queued"]


def test_a_clock_of_a_host_that_jumps_takes_nobodys_run_away(store):
    run_id = queue(store)
    claims.take_next(store, "a")
    clock = Clock()
    watch = Watch(store, clock)
    watch.look()
    for days in (-1, 2):
        with store.database.write() as session:
            runs.locked(session, run_id).heartbeat_at += timedelta(days=days)
        clock.now_s += SILENT_BEFORE_TAKEOVER_S / 4
        assert watch.look() == []


def test_a_new_owner_is_watched_from_its_own_beginning(store):
    queue(store)
    claims.take_next(store, "a")
    clock = Clock()
    watch = Watch(store, clock)
    watch.look()
    claims.put_back_runs_of(store, "a")
    claims.take_next(store, "b")
    clock.now_s += SILENT_BEFORE_TAKEOVER_S
    assert watch.look() == []


def test_two_watchers_put_a_run_back_once(store):
    run_id = queue(store)
    claims.take_next(store, "a")
    clock = Clock()
    watches = [Watch(store, clock) for _ in range(2)]
    for watch in watches:
        watch.look()
    clock.now_s += SILENT_BEFORE_TAKEOVER_S
    assert [watch.look() for watch in watches] == [[run_id], []]


def test_owners_are_told_apart_by_the_whole_beginning_of_their_id(store):
    first, second = queue(store), queue(store)
    claims.take_next(store, "worker:h_1:a")
    claims.take_next(store, "worker:hx1:b")
    assert claims.put_back_runs_of(store, "worker:h_1:") == [first]
    assert status(store, second) == "preparing"


def test_a_run_that_costs_every_owner_its_life_fails_with_the_reason(store):
    run_id = queue(store)
    for _ in range(MOST_SETBACKS):
        claims.hand_back(store, claims.take_next(store, "a"), lost=RunnerDied("it was killed"))
    row = runs.get_row(store, run_id)
    assert (row.status, row.error["code"], row.owner_id) == ("failed", "runner_died", None)


def test_a_run_that_gets_on_may_lose_any_number_of_owners(store):
    run_id = queue(store, epochs=100)
    for epoch in range(2 * MOST_SETBACKS):
        claim = claims.take_next(store, "a")
        save_epoch(claims.under(store, claim), run_id, {"epoch": epoch + 1}, f"sha{epoch + 1}")
        claims.hand_back(store, claim, lost=RunnerDied("it was killed"))
    assert status(store, run_id) == "queued"
    epochs = [event.payload["epoch"] for event in runs.events_after(store, run_id, kinds=("epoch",))]
    assert epochs == list(range(1, 2 * MOST_SETBACKS + 1))


def test_a_worker_that_is_told_to_end_costs_a_run_nothing(store):
    run_id = queue(store)
    for _ in range(2 * MOST_SETBACKS):
        claims.hand_back(store, claims.take_next(store, "a"))
    assert (status(store, run_id), runs.get_row(store, run_id).setbacks) == ("queued", 0)


def test_of_the_states_after_epochs_one_is_kept(store):
    run_id = queue(store)
    owned = claims.under(store, claims.take_next(store, "a"))
    outdated = [save_epoch(owned, run_id, {"epoch": epoch}, f"sha{epoch}") for epoch in (1, 2, 2, 3)]
    assert outdated == [None, "sha1", None, "sha2"]
    assert runs.get_row(store, run_id).resume_sha256 == "sha3"


# Stop and cancel


@pytest.mark.parametrize("wish", ["stop", "cancel"])
def test_a_queued_run_ends_at_once_whatever_is_asked(store, wish):
    run_id = queue(store)
    for _ in range(2):
        runs.ask_to_end(store, run_id, wish, "ada")
        assert status(store, run_id) == "cancelled"
    told = [event.payload for event in runs.events_after(store, run_id, kinds=("wanted",))]
    assert told == [{"wanted": "cancel", "asked": wish, "by": "ada"}]
    assert claims.take_next(store, "a") is None


def test_a_queued_run_that_has_learned_is_stopped_by_its_next_owner(store):
    run_id = queue(store)
    claim = claims.take_next(store, "a")
    save_epoch(claims.under(store, claim), run_id, {"epoch": 3}, "sha3")
    claims.hand_back(store, claim)
    runs.ask_to_end(store, run_id, "stop", "ada")
    assert (status(store, run_id), runs.get_row(store, run_id).wanted) == ("queued", "stop")


def test_a_run_in_training_is_told_and_its_owner_hears(store):
    run_id = queue(store)
    claim = claims.take_next(store, "a")
    owned = claims.under(store, claim)
    runs.enter(owned, run_id, "training")
    runs.ask_to_end(store, run_id, "stop", "ada")
    with store.database.write() as session:
        assert claims.beat(session, claim).wanted == "stop"
    runs.ask_to_end(store, run_id, "cancel", "bob")
    with pytest.raises(RunCancelled):
        runs.add_event(owned, run_id, "log", {})
    runs.ask_to_end(store, run_id, "stop", "ada")
    assert runs.get_row(store, run_id).wanted == "cancel"
    claims.end_cancelled(store, claim)
    assert status(store, run_id) == "cancelled"


def test_stopping_a_run_that_still_prepares_cancels_it(store):
    run_id = queue(store)
    claims.take_next(store, "a")
    runs.ask_to_end(store, run_id, "stop", "ada")
    assert runs.get_row(store, run_id).wanted == "cancel"


def test_a_cancelled_run_whose_owner_dies_is_not_started_again(store):
    run_id = queue(store)
    claims.take_next(store, "a")
    runs.ask_to_end(store, run_id, "cancel", "ada")
    claims.put_back_runs_of(store, "a")
    assert status(store, run_id) == "cancelled"


@pytest.mark.parametrize("wish", ["stop", "cancel"])
def test_what_has_ended_otherwise_or_never_was_cannot_be_ended(store, wish):
    run_id = queue(store)
    runs.fail(store, run_id, {"code": "x"})
    with pytest.raises(RunEnded, match="failed already"):
        runs.ask_to_end(store, run_id, wish, "ada")
    with pytest.raises(NotFound):
        runs.ask_to_end(store, "run-none", wish, "ada")
    assert runs.events_after(store, run_id, kinds=("wanted",)) == []


def test_a_run_whose_candidate_is_live_cannot_be_cancelled(store):
    from core.store.tables import Checkpoint

    run_id = queue(store)
    claims.take_next(store, "a")
    with store.database.write() as session:
        session.add(Checkpoint(id="ckpt-1", sha256="0", class_names=[], manifest={}))
        session.flush()
        session.add(
            LedgerEntry(action="promote", checkpoint_id="ckpt-1", run_id=run_id, actor="system", reason="r")
        )
    with pytest.raises(RunEnded, match="Roll back"):
        runs.ask_to_end(store, run_id, "cancel", "ada")


# Retry


def retry(store, run_id, *, goes_on=True):
    with store.database.write() as session:
        return runs.create_retry(session, runs.locked(session, run_id), "ada", goes_on=goes_on).id


def failed_after_epoch(store, epochs):
    run_id = queue(store, epochs=9)
    claim = claims.take_next(store, "a")
    owned = claims.under(store, claim)
    for epoch in range(1, epochs + 1):
        runs.add_event(owned, run_id, "batch", {"epoch": epoch, "step": epoch})
        save_epoch(owned, run_id, {"epoch": epoch}, f"sha{epoch}")
    runs.add_event(owned, run_id, "batch", {"epoch": epochs + 1, "step": epochs + 1})
    runs.fail(owned, run_id, {"code": "disk_full"})
    return run_id


def test_a_failed_run_goes_on_as_a_new_one_with_one_curve(store):
    ended = failed_after_epoch(store, 2)
    again = runs.get_row(store, retry(store, ended))
    assert (again.status, again.continues_id, again.resume_epoch, again.resume_sha256) == (
        "queued",
        ended,
        2,
        "sha2",
    )
    assert again.request == runs.get_row(store, ended).request
    told = [
        (e.kind, e.payload["epoch"]) for e in runs.events_after(store, again.id, kinds=("batch", "epoch"))
    ]
    assert told == [("batch", 1), ("epoch", 1), ("batch", 2), ("epoch", 2)]
    assert run_views.get_run(store, again.id).epochs_done == 2


def test_a_retry_from_the_start_takes_nothing_along(store):
    again = runs.get_row(store, retry(store, failed_after_epoch(store, 2), goes_on=False))
    assert (again.resume_epoch, again.resume_sha256, again.parent_id) == (0, None, None)
    assert runs.events_after(store, again.id, kinds=("batch", "epoch")) == []


def test_only_what_failed_or_was_cancelled_is_retried(store):
    run_id = queue(store)
    with pytest.raises(RunNotRetryable, match="is queued"):
        retry(store, run_id)
    runs.ask_to_end(store, run_id, "cancel", "ada")
    assert status(store, retry(store, run_id)) == "queued"


def test_a_retry_that_is_asked_for_twice_is_made_once(store):
    ended = failed_after_epoch(store, 2)
    first = retry(store, ended)
    assert retry(store, ended) == first
    runs.fail(store, first, {"code": "x"})
    assert retry(store, first) != first


# When the queue moves


def test_expected_starts_follow_the_pace_of_earlier_runs(store):
    first = queue(store, epochs=2)
    assert run_views.get_run(store, first).expected_start_at is None
    claim = claims.take_next(store, "a")
    owned = claims.under(store, claim)
    for step in ("training", "evaluating", "succeeded"):
        runs.enter(owned, first, step)
    second, third = queue(store, epochs=4), queue(store, epochs=4)
    views = {view.id: view for view in run_views.list_runs(store)}
    assert views[second].expected_start_at <= views[third].expected_start_at
    assert [views[run_id].queue_position for run_id in (second, third)] == [0, 1]
    assert views[first].queue_position is views[first].expected_start_at is None


def test_who_would_queue_now_is_told_his_place_and_the_time(store):
    assert run_views.queue_outlook(store) == QueueOutlook(working=0, waiting=0, wait_s=0.0)
    first, second = queue(store, epochs=2), queue(store, epochs=2)
    owned = claims.under(store, claims.take_next(store, "a"))
    assert run_views.queue_outlook(store) == QueueOutlook(working=1, waiting=1, wait_s=None)
    for step in ("training", "evaluating", "succeeded"):
        runs.enter(owned, first, step)
    with store.database.write() as session:
        run = runs.locked(session, first)
        run.finished_at = run.started_at + timedelta(seconds=60)
    # The one that waits takes as long as the first took.
    assert run_views.queue_outlook(store) == QueueOutlook(working=0, waiting=1, wait_s=60.0)
    queue(store, epochs=4)
    assert run_views.queue_outlook(store) == QueueOutlook(working=0, waiting=2, wait_s=180.0)
    assert run_views.get_run(store, second).queue_position == 0


def test_each_queued_run_starts_when_a_worker_is_free():
    assert run_views.start_times([], [10, 5, 1]) == [0, 10, 15]
    assert run_views.start_times([4], [10, 5]) == [4, 14]
    assert run_views.start_times([4, 1], [10, 5, 1]) == [1, 4, 9]
