"""Chores, in this process and in their own: batches that no run brings, and what the champion sees."""

import shutil
from threading import Event

import psutil
import pytest
import sqlalchemy as sa
from pytest_httpserver import HTTPServer
from werkzeug import Response

from core import run_finetune, trainer
from core.evaluation.fresh import list_batch_scores
from core.feedback.intake import record_batch
from core.jobs import crew, service
from core.jobs.chores import Chores
from core.registry import checkpoints, publish
from core.store import Store, chores, run_views, runs, states
from core.store.tables import (
    Batch,
    BatchScore,
    Correction,
    Disagreement,
    Prediction,
    RevisionSample,
    Run,
    Sample,
)
from core.store.tables import DatasetRevision as DatasetRevisionRow
from tests.factories import CLASS_NAMES, thermal_file
from tests.processes import child_of, wait_until
from tests.weights import write_sure_weights, write_tiny_weights


@pytest.fixture
def product(product, slow_server):
    """The small product, with a baseline that sees something everywhere."""
    write_sure_weights(product.pretrained_weights, product)
    hosts = f"{product.image_hosts},localhost:{slow_server.port}"
    return product.model_copy(update={"image_hosts": hosts, "fetch_deadline_s": 300.0})


@pytest.fixture
def slow_server():
    """A server besides the usual one, which answers one request after the other."""
    with HTTPServer() as server:
        yield server


@pytest.fixture
def store(product):
    with Store.open(product) as opened:
        yield opened


@pytest.fixture
def post(store, feedback):
    """Records a batch that no run brings; gives its id."""

    def post(count=3, *, is_trusted=False, asked=None, **changes):
        with store.database.write() as session:
            asked = asked or feedback(count, **changes)
            return record_batch(session, asked, source="api", actor="feed", is_trusted=is_trusted).id

    return post


@pytest.fixture
def stuck(slow_server):
    """An image that does not arrive until the event is set; and the event that says that it was asked for."""
    may_arrive, was_asked_for = Event(), Event()

    def answer(_):
        was_asked_for.set()
        may_arrive.wait(timeout=300)
        return Response(thermal_file(seed=6_999), content_type="image/png")

    slow_server.expect_request("/stuck.png").respond_with_handler(answer)
    yield slow_server.url_for("/stuck.png"), was_asked_for, may_arrive
    may_arrive.set()


def do_all(store):
    Chores(store).do_all()


def get(store, batch_id):
    with store.database.read() as session:
        return session.get_one(Batch, batch_id)


def rows(store, table):
    with store.database.read() as session:
        return list(session.scalars(sa.select(table)))


def samples(store, batch_id):
    with store.database.read() as session:
        query = sa.select(Sample).where(Sample.batch_id == batch_id).order_by(Sample.position)
        return list(session.scalars(query))


def is_done(store, batch_id):
    return get(store, batch_id).predicted_at is not None


def chore_of(store):
    """The process that does chores for this home's worker."""
    (worker,) = service.live_workers(store)
    return child_of(psutil.Process(worker.pid), "core.jobs.chores")


def with_stuck(feedback, stuck, count=2):
    asked = feedback(count)
    return asked.model_copy(
        update={"images": [*asked.images, asked.images[0].model_copy(update={"image_url": stuck[0]})]}
    )


def test_a_batch_without_a_run_is_taken_in_looked_at_and_scored(store, post):
    batch_id = post(3)
    do_all(store)
    batch, champion = get(store, batch_id), publish.champion(store)
    assert batch.champion_id == champion.id
    assert batch.taken_in_at <= batch.predicted_at
    assert batch.chore_attempts == 0
    taken = samples(store, batch_id)
    assert {sample.status for sample in taken} == {"pending"}
    assert all(0 < sample.disagreement < 1 for sample in taken)
    kept = {row.sample_id: row for row in rows(store, Disagreement)}
    assert {sample.id: sample.disagreement for sample in taken} == {
        id_: row.score for id_, row in kept.items()
    }
    assert {row.blob_sha256 for row in rows(store, Prediction)} == {sample.blob_sha256 for sample in taken}
    (scored,) = list_batch_scores(store)
    assert (scored.batch_id, scored.checkpoint_id, scored.image_count) == (batch_id, champion.id, 3)
    assert 0 <= scored.metrics["metrics/mAP50-95(B)"] <= 1
    assert {row["box_count"] for row in scored.per_class} == {1}
    with store.database.read() as session:
        assert not chores.is_any_due(session)


def test_an_image_is_looked_at_once_for_each_checkpoint_and_a_batch_scored_once(store, post):
    first = post(3)
    do_all(store)
    looked, scored = rows(store, Prediction), rows(store, BatchScore)
    with store.database.write() as session:
        session.get_one(Batch, first).predicted_at = None
    second = post(4)
    do_all(store)
    assert is_done(store, first)
    assert is_done(store, second)
    by_time = {row.blob_sha256: row.created_at for row in rows(store, Prediction)}
    assert len(by_time) == 4
    assert {row.blob_sha256: row.created_at for row in looked}.items() <= by_time.items()
    again = {row.batch_id: row.created_at for row in rows(store, BatchScore)}
    assert again[first] == scored[0].created_at


def test_the_score_is_of_what_people_made_of_the_batch(store, post):
    batch_id = post(3)
    do_all(store)
    (before,) = list_batch_scores(store)
    with store.database.write() as session:
        session.scalars(sa.select(Sample).order_by(Sample.position)).first().status = "rejected"
        session.get_one(Batch, batch_id).predicted_at = None
    do_all(store)
    (after,) = list_batch_scores(store)
    assert (before.image_count, after.image_count) == (3, 2)
    assert before.set_digest != after.set_digest


def test_a_model_is_not_scored_on_what_it_has_learned_from(store, post):
    known = post(2)
    do_all(store)
    champion_id = publish.champion(store).id
    with store.database.write() as session:
        session.add(DatasetRevisionRow(digest="d", manifest={}))
        session.flush()
        session.get_one(checkpoints.Checkpoint, champion_id).dataset_digest = "d"
        for sample, role in zip(samples(store, known), ("feedback", "holdout"), strict=True):
            first_epoch = 1 if role == "feedback" else None
            facts = {"correction_version": 1, "role": role, "first_epoch": first_epoch}
            session.add(RevisionSample(dataset_digest="d", sample_id=sample.id, **facts))
    post(3)
    do_all(store)
    assert [scored.image_count for scored in list_batch_scores(store)] == [2, 2]


def test_a_batch_that_cannot_be_looked_at_keeps_the_reason_and_blocks_no_other(store, post, tmp_path):
    sound = post(2)
    do_all(store)
    other = checkpoints.register(
        store, write_tiny_weights(tmp_path / "other.pt", store.settings), class_names=CLASS_NAMES
    )
    broken = post(3)
    with store.database.write() as session:
        session.get_one(Batch, broken).champion_id = other.id
        session.get_one(Batch, sound).predicted_at = None
    store.blobs.delete(other.sha256)
    checkpoints.weights_path(store, other.id).write_bytes(b"damaged")
    later = post(1)
    do_all(store)
    batch = get(store, broken)
    assert "missing or its bytes have changed" in batch.chore_error
    assert (batch.predicted_at, batch.chore_attempts) == (None, 1)
    assert is_done(store, sound)
    assert is_done(store, later)
    assert batch.chore_due_at > batch.created_at


def test_without_a_base_set_nothing_is_taken_in_but_what_was_is_looked_at(store, post):
    first = post(2)
    do_all(store)
    with store.database.write() as session:
        session.get_one(Batch, first).predicted_at = None
    away = store.settings.home / "elsewhere"
    shutil.move(store.settings.annotated_dataset_root, away)
    second = post(3)
    do_all(store)
    assert is_done(store, first)
    assert "There is no base set" in get(store, second).chore_error
    shutil.move(away, store.settings.annotated_dataset_root)
    with store.database.write() as session:
        session.get_one(Batch, second).chore_due_at = None
    do_all(store)
    assert is_done(store, second)
    assert get(store, second).chore_error is None


def test_a_damaged_image_costs_the_others_nothing(store, post):
    batch_id = post(3)
    do_all(store)
    damaged, *intact = samples(store, batch_id)
    with store.database.write() as session:
        session.execute(sa.delete(Prediction))
        session.get_one(Batch, batch_id).predicted_at = None
    store.blobs.delete(damaged.blob_sha256)
    do_all(store)
    assert is_done(store, batch_id)
    assert {row.blob_sha256 for row in rows(store, Prediction)} == {sample.blob_sha256 for sample in intact}


def test_a_queued_run_ends_chores_between_two_images(store, post, feedback):
    batch_id = post(3)
    with store.database.write() as session:
        trainer.accept(session, feedback(), source="test", actor="t")
    do_all(store)
    assert (get(store, batch_id).taken_in_at, get(store, batch_id).chore_attempts) == (None, 0)


def test_gaps_are_filled_before_the_run_learns_and_the_boxes_are_counted(product, feedback):
    summary = run_finetune(feedback(3, fill_gaps=True), settings=product)
    assert summary.filled_boxes > 0
    with Store.open(product) as store:
        newest = [row for row in rows(store, Correction) if row.version == 2]
        added = [box for row in newest for box in row.detections if box.get("origin") == "champion"]
        assert len(added) == summary.filled_boxes
        assert {row.author for row in newest} == {"system"}
        assert all(box["confidence"] >= 0.6 for box in added)
        (revision,) = rows(store, DatasetRevisionRow)
        assert revision.manifest["filled_boxes"] == summary.filled_boxes
        (batch,) = rows(store, Batch)
        run_parent = rows(store, Run)[0].parent_id
        assert (batch.champion_id, batch.predicted_at) == (run_parent, None)
        do_all(store)
        (scored,) = list_batch_scores(store)
        assert scored.checkpoint_id == run_parent
        # Judged by what people drew, and not by its own boxes.
        assert sum(row["box_count"] for row in scored.per_class) == 3


def test_without_the_wish_nothing_is_added_and_nothing_counted(product, feedback):
    summary = run_finetune(feedback(3), settings=product)
    assert summary.filled_boxes == 0
    with Store.open(product) as store:
        assert {row.version for row in rows(store, Correction)} == {1}
        assert "filled_boxes" not in rows(store, DatasetRevisionRow)[0].manifest


# The real process


def test_a_door_has_chores_done_and_those_that_are_killed_are_taken_up_again(store, post):
    batch_id = post(16)
    service.ensure_worker(store)
    wait_until(lambda: rows(store, Prediction))
    chore_of(store).kill()
    before = {row.blob_sha256: row.created_at for row in rows(store, Prediction)}
    assert not is_done(store, batch_id)
    wait_until(lambda: is_done(store, batch_id))
    after = {row.blob_sha256: row.created_at for row in rows(store, Prediction)}
    # What looks like an image that judges is put aside, and not looked at.
    assert after.keys() == {one.blob_sha256 for one in samples(store, batch_id) if one.status == "pending"}
    assert before.items() <= after.items()
    assert {row.version for row in rows(store, Correction)} == {1}
    assert len(list_batch_scores(store)) == 1
    wait_until(lambda: chore_of(store) is None)


def test_a_run_does_not_wait_for_chores(store, post, feedback, stuck):
    batch_id = post(asked=with_stuck(feedback, stuck))
    service.ensure_worker(store)
    _, was_asked_for, may_arrive = stuck
    assert was_asked_for.wait(timeout=60)
    chore = chore_of(store)
    run_id = service.submit(store, feedback(), source="api", actor="t").run_id
    wait_until(lambda: runs.get_row(store, run_id).status in states.ENDED)
    assert run_views.get_run(store, run_id).error is None
    assert not chore.is_running()
    assert get(store, batch_id).taken_in_at is None
    may_arrive.set()
    wait_until(lambda: is_done(store, batch_id))
    assert {sample.status for sample in samples(store, batch_id)} == {"pending"}


def test_a_batch_is_taken_in_while_a_run_learns_and_looked_at_behind_it(store, post, feedback):
    run_id = service.submit(store, feedback(epochs=300), source="api", actor="t").run_id
    wait_until(lambda: runs.get_row(store, run_id).status == "training")
    batch_id = post(2)
    wait_until(lambda: get(store, batch_id).taken_in_at)
    assert runs.get_row(store, run_id).status == "training"
    assert not is_done(store, batch_id)
    service.ask_to_end(store, run_id, "cancel", "t")
    wait_until(lambda: is_done(store, batch_id))


def test_chores_end_with_their_worker_and_without_a_blemish(store, post, feedback, stuck):
    batch_id = post(asked=with_stuck(feedback, stuck))
    process = crew.start(store.settings, "core.jobs.chores")
    assert stuck[1].wait(timeout=60)
    # What the operating system does when a worker dies: it closes its pipes.
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    batch = get(store, batch_id)
    assert (batch.taken_in_at, batch.chore_attempts, batch.chore_due_at) == (None, 0, None)
