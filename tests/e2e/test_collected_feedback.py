"""Feedback that is collected, reviewed and learned from later, and the way back from the weights to it."""

import hashlib

import pytest
import sqlalchemy as sa

from core.errors import NothingApproved
from core.feedback import intake
from core.feedback.batches import get_batch
from core.jobs import service
from core.registry import checkpoints, provenance
from core.schemas import FeedbackRequest, RetrainRequest
from core.store import Store, claims, runs
from core.store.tables import Sample
from core.trainer import walk
from tests.factories import CLASS_NAMES, thermal_file
from tests.history import correct, decide


@pytest.fixture
def store(product):
    with Store.open(product.model_copy(update={"worker_autostart": False})) as opened:
        yield opened


def _collect(store, asked):
    posted = FeedbackRequest(images=asked.images)
    batch_id = service.collect(store, posted, source="api", actor="feed")
    intake.take_in(
        store,
        batch_id,
        class_names=CLASS_NAMES,
        judging={},
        champion_id=None,
        on_progress=lambda done, total: None,
    )
    return batch_id


def _samples(store, batch_id):
    with store.database.read() as session:
        return list(
            session.scalars(sa.select(Sample.id).filter_by(batch_id=batch_id).order_by(Sample.position))
        )


def _retrain(store, asked):
    request = RetrainRequest(**asked.hyperparameters.model_dump())
    service.submit_retrain(store, request, source="api", actor="anna")
    return walk(store, claims.take_next(store, "python:test"))


def test_what_was_approved_is_learned_and_both_ends_know_of_each_other(store, feedback):
    asked = feedback(count=4)
    batch_id = _collect(store, asked)
    assert get_batch(store, batch_id).statuses["pending"] == 4
    first, second, rejected, waiting = _samples(store, batch_id)
    correct(store, second, class_id=2)
    for sample, decision in ((first, "approved"), (second, "approved"), (rejected, "rejected")):
        decide(store, sample, decision)

    summary = _retrain(store, asked)
    assert (summary.feedback_samples, summary.replay_samples, summary.promoted) == (2, 2, True)
    assert (summary.quarantined, summary.holdout_samples) == ([], 0)
    candidate = checkpoints.get(store, summary.checkpoint_id)
    told = [event.payload for event in runs.events_after(store, summary.run_id, kinds=("epoch",))]
    assert candidate.epochs == [payload["epoch"] for payload in told if payload["is_best"]][-1]

    learned = provenance.learned_from(store, candidate.id)
    assert [(one.sample_id, one.correction_version, one.author) for one in learned] == [
        (first, 1, "feed"),
        (second, 2, "ben"),
    ]
    as_posted = hashlib.sha256(thermal_file(seed=7_000)).hexdigest()
    (sighting,) = provenance.saw_image(store, as_posted)
    assert (sighting.checkpoint_id, sighting.role, sighting.was_live) == (candidate.id, "feedback", True)
    for sample in (rejected, waiting):
        assert provenance.saw_sample(store, sample) == []
    with pytest.raises(NothingApproved, match="wait for review: 1"):
        _retrain(store, asked)


def test_samples_that_are_rejected_before_the_run_begins_are_not_learned(store, feedback):
    asked = feedback(count=1)
    (sample,) = _samples(store, _collect(store, asked))
    decide(store, sample, "approved")
    request = RetrainRequest(**asked.hyperparameters.model_dump())
    run_id = service.submit_retrain(store, request, source="api", actor="anna").run_id
    decide(store, sample, "rejected")
    with pytest.raises(NothingApproved):
        walk(store, claims.take_next(store, "python:test"))
    assert runs.get_row(store, run_id).error["code"] == "nothing_approved"
