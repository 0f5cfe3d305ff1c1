"""Which feedback is new, which may be replayed and which judges, on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from core.dataset import feedback_set
from core.feedback.approved import ApprovedSample
from core.store import Store
from core.store.tables import Run, utc_now
from tests.history import add_batch, age, correct, decide, fine_tuned, register


@pytest.fixture
def store(any_store: Store) -> Store:
    """SQLite and PostgreSQL in turn, with a baseline that is live."""
    register(any_store)
    return any_store


def ids(store: Store, select: Callable[..., list[ApprovedSample]]) -> list[str]:
    with store.database.read() as session:
        return [sample.id for sample in select(session)]


def new(store: Store) -> list[str]:
    return ids(store, feedback_set.not_learned)


def pool(store: Store) -> list[str]:
    return ids(store, feedback_set.learned)


def count(store: Store, **options: bool) -> int:
    with store.database.read() as session:
        return feedback_set.waiting(session, **options).count


def test_only_what_was_approved_is_learned_and_the_holdout_never(store: Store):
    (approved,) = add_batch(store, "a")
    add_batch(store, "b", status="pending")
    add_batch(store, "c", status="rejected")
    add_batch(store, "d", status="quarantined")
    (kept,) = add_batch(store, "e", is_holdout=True)
    add_batch(store, "f", status="pending", is_holdout=True)
    assert new(store) == [approved]
    assert ids(store, feedback_set.kept_for_judging) == [kept]
    assert pool(store) == []
    fine_tuned(store)
    assert (new(store), pool(store)) == ([], [approved])
    assert ids(store, feedback_set.kept_for_judging) == [kept]


def test_samples_of_several_batches_come_in_the_order_of_posting(store: Store):
    posted = [*add_batch(store, "a", "b"), *add_batch(store, "c")]
    assert new(store) == posted
    run = Run(learns_from="approved", batch_id="")
    assert ids(store, lambda session: feedback_set.new_to(session, run)) == posted


def test_a_run_on_a_batch_learns_the_batch_alone_whatever_was_learned_before(store: Store):
    first, second = add_batch(store, "a", "b"), add_batch(store, "c")
    fine_tuned(store)
    with store.database.read() as session:
        (sample, *_) = feedback_set.learned(session)
        run = Run(learns_from="batch", batch_id=sample.batch_id)
        assert [one.id for one in feedback_set.new_to(session, run)] == first
    assert second[0] in pool(store)


def test_what_a_candidate_learned_that_was_not_published_is_still_new(store: Store):
    samples = add_batch(store, "a")
    fine_tuned(store, is_promoted=False)
    assert (new(store), pool(store)) == (samples, [])
    assert (count(store), count(store, for_any_checkpoint=True)) == (1, 0)


def test_what_any_champion_learned_is_replayed_also_after_it_was_rolled_back(store: Store):
    samples = add_batch(store, "a")
    fine_tuned(store)
    register(store)
    assert (new(store), pool(store)) == ([], samples)


def test_a_sample_that_was_corrected_is_new_again_and_is_replayed_with_its_newest_boxes(store: Store):
    first, _ = add_batch(store, "a", "b")
    fine_tuned(store)
    correct(store, first, class_id=2)
    assert new(store) == [first]
    with store.database.read() as session:
        replayed = {sample.id: sample for sample in feedback_set.learned(session)}
    assert (replayed[first].version, replayed[first].detections[0]["class_id"]) == (2, 2)
    fine_tuned(store)
    assert new(store) == []


def test_replay_that_an_epoch_drew_teaches_the_newest_boxes(store: Store):
    (sample,) = add_batch(store, "a")
    fine_tuned(store)
    correct(store, sample, class_id=2)
    add_batch(store, "b")
    fine_tuned(store, sample_ids=[new(store)[1]], train_replay=100)
    assert new(store) == []


def test_replay_of_an_epoch_behind_the_best_one_was_not_learned(store: Store):
    (sample,) = add_batch(store, "a")
    fine_tuned(store)
    correct(store, sample, class_id=2)
    add_batch(store, "b")
    # Four base images and the sample are drawn one an epoch; no epoch went into the weights.
    fine_tuned(store, sample_ids=[new(store)[1]], train_replay=1, epochs=0)
    assert sample in new(store)


def test_what_is_rejected_later_leaves_the_pool_and_the_holdout(store: Store):
    first, second = add_batch(store, "a", "b")
    (kept,) = add_batch(store, "c", is_holdout=True)
    fine_tuned(store)
    for sample in (first, kept):
        decide(store, sample, "rejected")
    assert pool(store) == [second]
    assert ids(store, feedback_set.kept_for_judging) == []
    decide(store, first, "approved")
    assert (new(store), pool(store)) == ([], [first, second])


def test_an_image_that_was_posted_again_stands_for_its_newest_approved_sample(store: Store):
    (old,) = add_batch(store, "a")
    fine_tuned(store)
    (newer,) = add_batch(store, "a")
    # Neither is replayed with boxes that are out of date, nor learned twice.
    assert (new(store), pool(store)) == ([newer], [])
    decide(store, newer, "rejected")
    assert (new(store), pool(store)) == ([], [old])
    decide(store, newer, "approved")
    fine_tuned(store)
    assert (new(store), pool(store)) == ([], [newer])


def test_what_waits_is_counted_with_its_newest_batch_and_since_when(store: Store):
    with store.database.read() as session:
        assert feedback_set.waiting(session) == feedback_set.Waiting(0, None, None)
    early, late = utc_now() - timedelta(days=9), utc_now() - timedelta(days=2)
    (first,), (second,) = add_batch(store, "a"), add_batch(store, "b")
    age(store, first, early)
    age(store, second, late)
    with store.database.read() as session:
        waiting = feedback_set.waiting(session)
        newest = feedback_set.not_learned(session)[-1].batch_id
    assert waiting == feedback_set.Waiting(2, newest, early)
    correct(store, first, class_id=1)
    with store.database.read() as session:
        assert feedback_set.waiting(session).since == late


def test_a_sample_waits_from_its_approval_on(store: Store):
    (sample,) = add_batch(store, "a", status="pending")
    age(store, sample, utc_now() - timedelta(days=30))
    before = utc_now()
    decide(store, sample, "approved")
    with store.database.read() as session:
        since = feedback_set.waiting(session).since
    assert since is not None
    assert since >= before


def test_nothing_approved_says_how_many_samples_wait_for_review(store: Store):
    add_batch(store, "a", "b", status="pending")
    with store.database.read() as session:
        error = feedback_set.nothing_approved(session)
    assert "wait for review: 2" in error.detail
    assert error.extra == {"pending_samples": 2}
