"""Runs on all that was approved: handed in, started at thresholds, and never twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from core.errors import IdempotencyConflict, NothingApproved
from core.jobs import bell, service
from core.jobs.preview import preview_retrain
from core.jobs.retrain import Thresholds, start_if_due
from core.jobs.worker import Pulse
from core.schemas import RetrainRequest
from core.store import Store, claims, run_views
from core.store.tables import Run, utc_now
from tests.factories import CLASS_NAMES, make_settings, write_base_set
from tests.history import add_batch, age, correct, decide, end_run, fine_tuned
from tests.processes import wait_until

ASKED = RetrainRequest(epochs=3, train_replay=2, promotion="manual", note="all of January")


def submit(store: Store, key: str | None = None, **changes):
    asked = ASKED.model_copy(update=changes)
    return service.submit_retrain(store, asked, source="api", actor="anna", idempotency_key=key)


def runs_of(store: Store):
    return run_views.list_runs(store)


def set_to(store: Store, **thresholds) -> Store:
    """The same store under other settings."""
    return Store(store.settings.model_copy(update=thresholds), store.database, store.blobs)


def test_a_run_on_all_that_was_approved_is_queued(any_store: Store):
    add_batch(any_store, "a", "b")
    add_batch(any_store, "c")
    run = run_views.get_run(any_store, submit(any_store).run_id)
    assert (run.status, run.learns_from, run.source, run.actor) == ("queued", "approved", "api", "anna")
    assert run.note == "all of January"
    with any_store.database.read() as session:
        row = session.get_one(Run, run.id)
    assert (row.image_count, row.batch_id) == (3, run.batch_id)
    assert (row.request["epochs"], row.request["promotion"]) == (3, "manual")


def test_where_nothing_was_approved_nothing_is_queued_and_it_is_said_what_to_do(any_store: Store):
    with pytest.raises(NothingApproved, match="wait for review: 0"):
        submit(any_store)
    (sample,) = add_batch(any_store, "a", status="pending")
    with pytest.raises(NothingApproved, match=r"wait for review: 1\. Approve"):
        submit(any_store, key="monday")
    assert runs_of(any_store) == []
    decide(any_store, sample, "approved")
    fine_tuned(any_store)
    with pytest.raises(NothingApproved):
        submit(any_store)


def test_a_key_names_one_run_for_good_also_when_it_has_learned_everything(any_store: Store):
    add_batch(any_store, "a")
    first = submit(any_store, key="monday")
    fine_tuned(any_store)
    again = submit(any_store, key="monday")
    assert (first.is_new, again.is_new, again.run_id) == (True, False, first.run_id)
    with pytest.raises(IdempotencyConflict, match=first.run_id):
        submit(any_store, key="monday", epochs=4)


def test_a_retry_learns_from_all_that_was_approved_too(any_store: Store):
    add_batch(any_store, "a")
    run_id = submit(any_store).run_id
    end_run(any_store, run_id)
    again = service.retry(any_store, run_id, "ben")
    assert (again.learns_from, again.continues_id, again.note) == ("approved", run_id, "all of January")


def test_a_preview_counts_what_would_be_learned_replayed_and_judged(store: Store):
    write_base_set(store.settings.annotated_dataset_root)
    add_batch(store, "a", "b")
    add_batch(store, "c", is_holdout=True)
    fine_tuned(store)
    (sample, _) = add_batch(store, "d", "e")
    correct(store, sample, class_id=2)
    add_batch(store, "f", status="pending")
    seen = preview_retrain(store, RetrainRequest(train_replay=100, epochs=2))
    # Six base images and the two that a champion learned.
    assert (seen.feedback_samples, seen.replay_samples, seen.dataset_size) == (2, 8, 10)
    assert (seen.replay_pool_feedback, seen.holdout_samples) == (2, 1)
    assert seen.boxes_per_class == dict(zip(CLASS_NAMES, (1, 0, 1), strict=True))
    assert runs_of(store) == []
    assert preview_retrain(store, RetrainRequest(replay_strategy="none")).replay_samples == 0


def test_a_preview_of_nothing_says_what_to_do(store: Store):
    write_base_set(store.settings.annotated_dataset_root)
    add_batch(store, "a", status="pending")
    seen = preview_retrain(store, RetrainRequest())
    assert seen.feedback_samples == 0
    assert "wait for review: 1" in seen.warnings[0]


# Thresholds


def test_by_default_no_run_starts_by_itself(any_store: Store):
    (sample,) = add_batch(any_store, "a")
    age(any_store, sample, utc_now() - timedelta(days=3_000))
    assert Thresholds(any_store).look() is None
    assert start_if_due(any_store) is None


def test_so_many_approved_samples_start_a_run(any_store: Store):
    store = set_to(any_store, retrain_samples=2)
    (first, second) = add_batch(store, "a", "b", status="pending")
    decide(store, first, "approved")
    add_batch(store, "c", is_holdout=True)
    assert start_if_due(store) is None
    decide(store, second, "approved")
    run = run_views.get_run(store, start_if_due(store) or "")
    assert (run.source, run.actor, run.learns_from) == ("threshold", "system", "approved")
    assert run.note == "Started by itself: 2 approved samples were waiting, TMS_RETRAIN_SAMPLES is 2."
    assert start_if_due(store) is None


def test_a_sample_that_has_waited_so_long_starts_a_run(any_store: Store):
    store = set_to(any_store, retrain_days=2.0)
    old, _ = add_batch(store, "a", "b")
    age(store, old, utc_now() - timedelta(hours=47))
    assert start_if_due(store) is None
    age(store, old, utc_now() - timedelta(hours=49))
    run = run_views.get_run(store, start_if_due(store) or "")
    assert run.note == "Started by itself: an approved sample had waited for 2.0 days, TMS_RETRAIN_DAYS is 2."


def test_none_starts_while_one_goes_on_however_long_that_takes(any_store: Store):
    store = set_to(any_store, retrain_samples=1, retrain_cooldown_hours=1.0)
    add_batch(store, "a")
    run_id = submit(store).run_id
    claims.take_next(store, "worker:x:y")
    with store.database.write() as session:
        session.get_one(Run, run_id).created_at = utc_now() - timedelta(days=9)
    assert start_if_due(store) is None


def test_the_cool_down_counts_from_the_newest_run_of_the_kind(any_store: Store):
    store = set_to(any_store, retrain_samples=1, retrain_cooldown_hours=5.0)
    add_batch(store, "a")
    run_id = submit(store).run_id
    end_run(store, run_id, utc_now() - timedelta(hours=4))
    assert start_if_due(store) is None
    end_run(store, run_id, utc_now() - timedelta(hours=6))
    assert start_if_due(store) is not None


def test_a_candidate_that_was_not_published_is_not_made_again_by_itself(any_store: Store):
    store = set_to(any_store, retrain_samples=1, retrain_days=1.0)
    (sample,) = add_batch(store, "a")
    age(store, sample, utc_now() - timedelta(days=9))
    fine_tuned(store, is_promoted=False)
    assert start_if_due(store) is None
    add_batch(store, "b")
    run_id = start_if_due(store)
    with store.database.read() as session:
        # The new sample has started it, and it learns from both.
        assert session.get_one(Run, run_id).image_count == 2


def test_many_who_look_at_once_start_one_run(any_store: Store):
    store = set_to(any_store, retrain_samples=1)
    add_batch(store, "a")
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: start_if_due(store), range(16)))
    assert len([run_id for run_id in started if run_id]) == len(runs_of(store)) == 1


class Clock:
    """Stands still until it is set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_it_is_looked_once_a_minute_or_when_the_bell_rings(store: Store):
    store, clock = set_to(store, retrain_samples=2, retrain_cooldown_hours=0.0), Clock()
    thresholds = Thresholds(store, clock)
    add_batch(store, "a")
    assert thresholds.look() is None
    add_batch(store, "b")
    clock.now_s = 59
    assert thresholds.look() is None
    clock.now_s = 60
    first = thresholds.look()
    assert first is not None
    end_run(store, first)
    # Its own ringing is heard too, and this run begins at once: there is no cool-down.
    assert thresholds.look() not in (None, first)
    assert thresholds.look() is None


def test_the_bell_is_heard_before_the_minute_is_over(store: Store):
    store, clock = set_to(store, retrain_samples=1), Clock()
    thresholds = Thresholds(store, clock)
    assert thresholds.look() is None
    add_batch(store, "a")
    assert thresholds.look() is None
    bell.ring(store.settings)
    assert thresholds.look() is not None


def test_a_door_looks_too(settings):
    with Store.open(make_settings(settings.home, retrain_samples=1)) as store:
        add_batch(store, "a")
        service.Keeper(store).look()
        assert [run.source for run in runs_of(store)] == ["threshold"]


def test_a_worker_looks_too(settings, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_INTERVAL_S", 0.01)
    with Store.open(make_settings(settings.home, retrain_samples=1)) as store:
        add_batch(store, "a")
        with Pulse(store, "worker:test:"):
            wait_until(lambda: runs_of(store))
        assert [run.source for run in runs_of(store)] == ["threshold"]
