"""Filling gaps of samples, and the scores of batches, over HTTP."""

import pytest
from starlette.testclient import TestClient

from core.feedback import corrections
from core.store import Store
from core.store.ids import new_id
from core.store.keys import create_key
from core.store.tables import Batch, BatchScore, Correction, Prediction, Sample
from tests.unit.registry.factories import register

DRAWN = {"xyxy": [0, 0, 20, 20], "class_id": 0}
SEEN = {"xyxy": [40, 0, 60, 20], "class_id": 1, "confidence": 0.8}
METRICS = {"metrics/mAP50-95(B)": 0.4, "fitness": 0.4}


@pytest.fixture
def champion_id(store: Store) -> str:
    return register(store, b"weights").id


def batch_of(store: Store, champion_id: str, *, score: bool = False) -> tuple[str, str]:
    """A batch with one sample, in which the champion sees one box more than was drawn; ids of both."""
    with store.database.write() as session:
        batch = Batch(id=new_id("batch"), source="api", actor="feed", champion_id=champion_id)
        blob = new_id("blob")
        session.add(batch)
        session.flush()
        facts = {"position": 0, "image_url": "http://x/1", "posted": [], "status": "pending"}
        sample = Sample(id=new_id("sample"), batch_id=batch.id, blob_sha256=blob, **facts)
        session.add_all([sample, Prediction(checkpoint_id=champion_id, blob_sha256=blob, detections=[SEEN])])
        session.flush()
        corrections.add(session, sample, [DRAWN], "feed")
        if score:
            figures = {"set_digest": "d", "image_count": 1, "metrics": METRICS, "per_class": []}
            session.add(BatchScore(batch_id=batch.id, checkpoint_id=champion_id, **figures))
    return batch.id, sample.id


def newest_boxes(store: Store, sample_id: str) -> Correction:
    with store.database.read() as session:
        found = corrections.newest_of(session, sample_id)
        assert found
        return found


def test_gaps_are_filled_in_the_name_of_the_key(remote: TestClient, store: Store, champion_id: str):
    _, sample_id = batch_of(store, champion_id)
    key = create_key(store, "reviewer", "operate")
    answer = remote.post(
        "/api/samples/fill-gaps",
        json={"sample_ids": [sample_id]},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.json() == [{"sample_id": sample_id, "added": 1, "version": 2, "reason": None}]
    newest = newest_boxes(store, sample_id)
    assert (newest.author, newest.detections) == ("reviewer", [DRAWN, {**SEEN, "origin": "champion"}])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"sample_ids": []}, 422, "invalid_request"),
        ({"sample_ids": ["sample-none"]}, 404, "not_found"),
        ({"sample_ids": ["sample-none"], "min_confidence": 0.1}, 422, "invalid_request"),
        ({"sample_ids": ["sample-none"], "min_confidence": 1.1}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_asked_for(client: TestClient, body, status, code):
    answer = client.post("/api/samples/fill-gaps", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_key_for_feeding_may_not_fill(remote: TestClient, store: Store, champion_id: str):
    _, sample_id = batch_of(store, champion_id)
    key = create_key(store, "feed", "feed")
    answer = remote.post(
        "/api/samples/fill-gaps",
        json={"sample_ids": [sample_id]},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert (answer.status_code, answer.json()["needed_scope"]) == (403, "operate")
    assert newest_boxes(store, sample_id).version == 1


def test_scores_are_listed_newest_batch_first(client: TestClient, store: Store, champion_id: str):
    batches = [batch_of(store, champion_id, score=number != 1)[0] for number in range(4)]
    listed = client.get("/api/batch-scores").json()
    assert [row["batch_id"] for row in listed] == [batches[3], batches[2], batches[0]]
    assert (listed[0]["checkpoint_id"], listed[0]["metrics"]) == (champion_id, METRICS)
    assert client.get("/api/batch-scores?limit=1").json() == listed[:1]
    assert client.get("/api/batch-scores?limit=0").status_code == 422
