"""From a checkpoint to what it learned from and back, on SQLite and PostgreSQL."""

from hashlib import sha256

import pytest
import sqlalchemy as sa

from core.errors import NotFound
from core.registry.checkpoint_views import get_checkpoint, list_checkpoints
from core.registry.provenance import learned_from, saw_image, saw_sample
from core.store import Store
from core.store.tables import RevisionSample, Sample
from tests.history import BASE, add_batch, correct, fine_tuned, register


@pytest.fixture
def store(any_store: Store) -> Store:
    """SQLite and PostgreSQL in turn."""
    return any_store


def digest(content: str) -> str:
    return sha256(content.encode()).hexdigest()


def told(store, checkpoint, **page):
    """Of each sample: its id, role, version and author, and through which checkpoint."""
    return [
        (one.sample_id, one.role, one.correction_version, one.author, one.learned_by)
        for one in learned_from(store, checkpoint.id, **page)
    ]


def seen(sightings):
    return [(one.checkpoint_id, one.role, one.seen_by) for one in sightings]


def test_a_checkpoint_tells_its_own_samples_and_then_those_of_its_ancestors(store: Store):
    baseline = register(store)
    first, second = add_batch(store, "a", "b")
    older = fine_tuned(store, parent=baseline)
    correct(store, first, class_id=2)
    (third,) = add_batch(store, "c")
    newer = fine_tuned(store, parent=older)
    before = [(first, "feedback", 1, "feed", older.id), (second, "feedback", 1, "feed", older.id)]
    assert told(store, baseline) == []
    assert told(store, older) == before
    assert told(store, newer) == [
        (first, "feedback", 2, "ben", newer.id),
        (third, "feedback", 1, "feed", newer.id),
        *before,
    ]
    newest, *_ = learned_from(store, newer.id)
    assert newest.is_direct
    assert newest.detections == [{"xyxy": [8.0, 8.0, 40.0, 40.0], "class_id": 2}]
    assert newest.image_url == "https://images.example/a.png"
    assert newest.sha256 == digest("a")
    assert not learned_from(store, newer.id)[-1].is_direct


def test_pages_follow_each_other(store: Store):
    add_batch(store, "a", "b")
    older = fine_tuned(store)
    add_batch(store, "c")
    newer = fine_tuned(store, parent=older)
    whole = told(store, newer)
    assert [told(store, newer, limit=2, offset=offset) for offset in (0, 2, 4)] == [whole[:2], whole[2:], []]


def test_a_brother_has_not_learned_what_his_brother_did(store: Store):
    baseline = register(store)
    (sample,) = add_batch(store, "a")
    fine_tuned(store, parent=baseline, is_promoted=False)
    (other,) = add_batch(store, "b")
    brother = fine_tuned(store, [other], parent=baseline)
    assert [one.sample_id for one in learned_from(store, brother.id)] == [other]
    assert brother.id not in [one.checkpoint_id for one in saw_sample(store, sample)]


def test_who_saw_a_sample_and_who_has_it_from_an_ancestor(store: Store):
    baseline = register(store)
    (sample,) = add_batch(store, "a")
    first = fine_tuned(store, parent=baseline, is_promoted=False)
    child = register(store, parent=first)
    grandchild = register(store, parent=child, is_promoted=False)
    register(store, parent=baseline)
    sightings = saw_sample(store, sample)
    assert seen(sightings) == [
        (grandchild.id, "feedback", first.id),
        (child.id, "feedback", first.id),
        (first.id, "feedback", first.id),
    ]
    assert [one.is_direct for one in sightings] == [False, False, True]
    assert [one.was_live for one in sightings] == [False, True, False]
    assert {(one.sample_id, one.correction_version) for one in sightings} == {(sample, 1)}
    assert saw_image(store, digest("a")) == sightings


def test_what_a_checkpoint_saw_itself_outweighs_what_it_has_from_an_ancestor(store: Store):
    (sample,) = add_batch(store, "a")
    first = fine_tuned(store)
    correct(store, sample, class_id=1)
    second = fine_tuned(store, parent=first)
    assert [(one.checkpoint_id, one.correction_version) for one in saw_sample(store, sample)] == [
        (second.id, 2),
        (first.id, 1),
    ]


def test_the_holdout_was_judged_on_and_is_in_nobodys_weights(store: Store):
    add_batch(store, "a")
    (kept,) = add_batch(store, "b", is_holdout=True)
    judged = fine_tuned(store)
    register(store, parent=judged)
    assert seen(saw_sample(store, kept)) == [(judged.id, "holdout", judged.id)]
    assert kept not in [one.sample_id for one in learned_from(store, judged.id)]


def test_replay_is_told_as_far_as_epochs_of_it_went_into_the_weights(store: Store):
    (old,) = add_batch(store, "a")
    fine_tuned(store)
    (new,) = add_batch(store, "b")
    # The pool is the old sample and four base images: each of five epochs draws another one.
    whole = fine_tuned(store, train_replay=1, planned_epochs=5, is_promoted=False)
    with store.database.read() as session:
        drawn_in = session.get_one(RevisionSample, (whole.dataset_digest, old)).first_epoch
    assert drawn_in in range(1, 6)
    for epochs in range(1, 6):
        made = register(store, dataset_digest=whole.dataset_digest, epochs=epochs, is_promoted=False)
        learned = {one.sample_id for one in learned_from(store, made.id)}
        assert learned == ({old, new} if epochs >= drawn_in else {new})
        assert (made.id in {one.checkpoint_id for one in saw_sample(store, old)}) is (epochs >= drawn_in)


def test_an_image_of_the_base_set_is_found_in_the_epochs_that_drew_it(store: Store):
    add_batch(store, "a")
    train = [image.sha256 for image in BASE.train.images]
    drawn = fine_tuned(store, train_replay=2, is_promoted=False)
    child = register(store, parent=drawn)
    for image in train:
        assert seen(saw_image(store, image)) == [
            (child.id, "replay", drawn.id),
            (drawn.id, "replay", drawn.id),
        ]
    assert saw_image(store, train[0].upper()) == saw_image(store, train[0])
    stopped = fine_tuned(store, train_replay=2, is_promoted=False, epochs=1)
    assert sum(stopped.id in [one.checkpoint_id for one in saw_image(store, image)] for image in train) == 2


def test_images_that_judge_and_unknown_ones_were_learned_by_nobody(store: Store):
    add_batch(store, "a")
    fine_tuned(store, train_replay=4)
    for image in (BASE.test.images[0].sha256, BASE.tune.images[0].sha256, digest("never posted")):
        assert saw_image(store, image) == []


def test_an_image_is_found_as_it_was_posted_and_as_it_is_kept(store: Store):
    (sample,) = add_batch(store, "kept as PNG")
    with store.database.write() as session:
        session.execute(sa.update(Sample).values(source_sha256=digest("posted as TIFF")))
    checkpoint = fine_tuned(store)
    for content in ("kept as PNG", "posted as TIFF"):
        (sighting,) = saw_image(store, digest(content))
        assert (sighting.checkpoint_id, sighting.sample_id) == (checkpoint.id, sample)


def test_an_image_that_was_posted_twice_is_told_as_the_newest_sample(store: Store):
    (old,) = add_batch(store, "a")
    first = fine_tuned(store)
    (newer,) = add_batch(store, "a")
    correct(store, newer, class_id=1)
    second = fine_tuned(store)
    assert [(one.checkpoint_id, one.sample_id) for one in saw_image(store, digest("a"))] == [
        (second.id, newer),
        (first.id, old),
    ]
    assert seen(saw_sample(store, old)) == [(first.id, "feedback", first.id)]


def test_nobody_knows_what_nobody_made(store: Store):
    for ask, unknown in (
        (learned_from, "ckpt-none"),
        (saw_sample, "sample-none"),
        (get_checkpoint, "ckpt-none"),
    ):
        with pytest.raises(NotFound, match=unknown):
            ask(store, unknown)


def test_checkpoints_are_listed_with_where_they_come_from(store: Store):
    baseline = register(store)
    add_batch(store, "a")
    candidate = fine_tuned(store, parent=baseline, is_promoted=False, epochs=2)
    champion = fine_tuned(store, parent=baseline, epochs=1)
    listed = list_checkpoints(store)
    assert [one.id for one in listed] == [champion.id, candidate.id, baseline.id]
    assert [(one.is_live, one.was_live) for one in listed] == [(True, True), (False, False), (False, True)]
    assert [(one.parent_id, one.epochs) for one in listed] == [
        (baseline.id, 1),
        (baseline.id, 2),
        (None, None),
    ]
    assert get_checkpoint(store, candidate.id) == listed[1]
    assert [one.id for one in list_checkpoints(store, limit=1, before=champion.id)] == [candidate.id]
