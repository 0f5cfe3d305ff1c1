from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from core.errors import IdempotencyConflict
from core.jobs import service
from core.jobs.bell import Listener
from core.jobs.preview import preview
from core.schemas import FeedbackRequest
from core.store import claims, run_views, runs
from core.store.tables import Batch, Run, Sample
from tests.factories import CLASS_NAMES, detection, image, request, write_base_set

ASKED = request(image("http://images.example/1.png"), image("http://images.example/2.png"), epochs=3)


def _submit(store, asked=ASKED, key=None):
    return service.submit(store, asked, source="api", actor="anna", idempotency_key=key)


def _count(store, table):
    with store.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table))


def test_one_transaction_writes_batch_samples_run_and_queue_entry(any_store):
    run_id = _submit(any_store).run_id
    run = run_views.get_run(any_store, run_id)
    assert (run.status, run.source, run.actor, run.queue_position) == ("queued", "api", "anna", 0)
    assert [_count(any_store, table) for table in (Batch, Sample, Run)] == [1, 2, 1]
    second = run_views.get_run(any_store, _submit(any_store).run_id)
    assert second.queue_position == 1


def test_a_key_names_one_run_for_good(any_store):
    first = _submit(any_store, key="monday")
    again = _submit(any_store, key="monday")
    assert (first.is_new, again.is_new, again.run_id) == (True, False, first.run_id)
    assert _count(any_store, Run) == 1
    with pytest.raises(IdempotencyConflict, match=first.run_id):
        _submit(any_store, request(image("http://images.example/3.png")), key="monday")
    assert _count(any_store, Batch) == 1


def test_a_key_handed_in_many_times_at_once_makes_one_run(any_store):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: _submit(any_store, key="same"), range(16)))
    assert len({answer.run_id for answer in answers}) == 1
    assert sum(answer.is_new for answer in answers) == 1
    assert _count(any_store, Run) == _count(any_store, Batch) == 1


def test_collected_feedback_wakes_the_worker_and_starts_no_run(any_store):
    listener = Listener(any_store.settings)
    assert not listener.has_rung()
    asked = FeedbackRequest(images=ASKED.images, note="night shift")
    batch_id, again = (
        service.collect(any_store, asked, source="api", actor="anna", idempotency_key="monday")
        for _ in range(2)
    )
    assert listener.has_rung()
    assert batch_id == again
    with any_store.database.read() as session:
        batch = session.get_one(Batch, batch_id)
    assert (batch.is_trusted, batch.actor, batch.note) == (False, "anna", "night shift")
    assert [_count(any_store, table) for table in (Batch, Sample, Run)] == [1, 2, 0]


def test_a_preview_counts_and_warns_and_starts_nothing(store):
    write_base_set(store.settings.annotated_dataset_root)
    asked = request(
        image("http://x/1", detection(class_id=0), detection(class_id="overload")),
        image("http://x/2", detection(class_id=9)),
        train_replay=100,
        learning_rate=0.1,
    )
    seen = preview(store, asked)
    assert (seen.feedback_samples, seen.replay_samples, seen.dataset_size) == (2, 6, 8)
    assert seen.boxes_per_class == dict(zip(CLASS_NAMES, (1, 0, 1), strict=True)) | {"unknown class 9": 1}
    assert seen.base_boxes_per_class == dict.fromkeys(CLASS_NAMES, 2)
    said = " ".join(seen.warnings)
    for part in ("learning rate 0.1", "4 images", "hot joint has 1", "unknown class 9 would be put aside"):
        assert part in said
    assert _count(store, Batch) == 0


def test_a_preview_tells_the_time_by_the_pace_of_earlier_runs(any_store):
    write_base_set(any_store.settings.annotated_dataset_root)
    assert preview(any_store, ASKED).expected_duration_s is None
    run_id = _submit(any_store).run_id
    claims.take_next(any_store, "w")
    for step in ("training", "evaluating", "succeeded"):
        runs.enter(any_store, run_id, step)
    with any_store.database.write() as session:
        run = runs.locked(session, run_id)
        run.finished_at = run.started_at + timedelta(seconds=60)
    # Two images and three epochs took a minute.
    assert preview(any_store, ASKED).expected_duration_s == 60
    twice = ASKED.model_copy(update={"epochs": 6})
    assert preview(any_store, twice).expected_duration_s == 120


def test_a_preview_warns_of_boxes_that_nobody_will_have_looked_at(store):
    write_base_set(store.settings.annotated_dataset_root)
    asked = ASKED.model_copy(update={"fill_gaps": True})
    assert any("60% sure" in text for text in preview(store, asked).warnings)
    assert not any("60% sure" in text for text in preview(store, ASKED).warnings)


def test_a_preview_warns_of_forgetting(store):
    write_base_set(store.settings.annotated_dataset_root)
    assert any("train_replay" in text for text in preview(store, ASKED).warnings)
