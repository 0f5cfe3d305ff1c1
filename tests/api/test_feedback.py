"""Feedback that is collected, batches that are shown, and runs on all that was approved."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.schemas import DatasetPreview
from core.store import Store
from core.store.keys import create_key
from core.store.run_views import list_runs
from core.store.tables import Batch, Sample, utc_now
from tests.api.runs import BODY, IMAGE
from tests.factories import write_base_set
from tests.history import add_batch, fine_tuned

BATCH: dict[str, Any] = {"images": [IMAGE, IMAGE | {"sample_id": "S-2"}], "note": "night shift"}


def test_feedback_is_kept_and_nothing_is_started(client: TestClient, store: Store):
    answer = client.post("/api/feedback", json=BATCH)
    batch = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/batches/{batch['id']}"
    assert client.get(answer.headers["location"]).json() == batch
    assert (batch["source"], batch["actor"], batch["note"]) == ("api", "local", "night shift")
    assert (batch["samples"], batch["waiting"], batch["taken_in_at"]) == (2, 2, None)
    assert batch["statuses"] == {"pending": 2, "approved": 0, "rejected": 0, "quarantined": 0}
    assert batch["is_trusted"] is False
    assert list_runs(store) == []


def test_who_feeds_is_told_by_the_key(remote: TestClient, store: Store):
    key = create_key(store, "night-feed", "feed")
    answer = remote.post("/api/feedback", json=BATCH, headers={"Authorization": f"Bearer {key}"})
    assert answer.json()["actor"] == "night-feed"


def test_a_batch_that_is_sent_again_with_its_key_is_kept_once(client: TestClient):
    key = {"Idempotency-Key": "night-shift-17"}
    first, again = (client.post("/api/feedback", json=BATCH, headers=key) for _ in range(2))
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(client.get("/api/batches").json()) == 1
    other = client.post("/api/feedback", json={**BATCH, "note": "other"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert first.json()["id"] in other.json()["detail"]


def test_a_key_stands_for_one_request_at_whatever_address(client: TestClient, store: Store):
    headers = {"Idempotency-Key": "night-shift-17", "Prefer": "respond-async"}
    client.post("/api/feedback", json={"images": [IMAGE]}, headers=headers)
    run = client.post("/api/finetune", json={"images": [IMAGE]}, headers=headers)
    assert (run.status_code, run.json()["code"]) == (422, "idempotency_conflict")
    assert list_runs(store) == []


@pytest.mark.parametrize("body", [{}, {"images": []}, {**BODY}, {"images": [IMAGE], "epochs": 2}])
def test_what_is_no_feedback_is_refused(client: TestClient, body: dict[str, Any]):
    answer = client.post("/api/feedback", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert client.get("/api/batches").json() == []


def test_feedback_without_a_content_type_is_taken(client: TestClient):
    assert client.post("/api/feedback", content=json.dumps(BATCH)).status_code == 202


def test_a_batch_tells_what_became_of_its_samples(client: TestClient, store: Store):
    approved, rejected = add_batch(store, "a"), add_batch(store, "b", status="rejected")
    assert approved
    assert rejected
    batch_id = client.post("/api/feedback", json={"images": [IMAGE] * 4}).json()["id"]
    with store.database.write() as session:
        session.get_one(Batch, batch_id).taken_in_at = utc_now()
        rows = session.query(Sample).filter_by(batch_id=batch_id).order_by(Sample.position).all()
        for row in rows[:2]:
            row.status, row.reason_code, row.reason_detail = (
                "quarantined",
                "fetch_not_found",
                "There is none.",
            )
        rows[2].status, rows[2].blob_sha256 = "approved", "a" * 64
    batch = client.get(f"/api/batches/{batch_id}").json()
    assert (batch["samples"], batch["waiting"]) == (4, 1)
    assert batch["statuses"] == {"pending": 1, "approved": 1, "rejected": 0, "quarantined": 2}
    assert batch["reasons"] == {"fetch_not_found": 2}
    assert [(one["index"], one["code"]) for one in batch["quarantined"]] == [
        (0, "fetch_not_found"), (1, "fetch_not_found"),
    ]  # fmt: skip
    assert batch["taken_in_at"]
    listed = client.get("/api/batches").json()
    assert [one["samples"] for one in listed] == [4, 1, 1]
    assert {name: value for name, value in batch.items() if name != "quarantined"} == listed[0]


def test_batches_come_in_pages(client: TestClient, store: Store):
    made = [client.post("/api/feedback", json=BATCH).json()["id"] for _ in range(3)]
    first = client.get("/api/batches?limit=2")
    rest = client.get(first.links["next"]["url"])
    assert [one["id"] for one in first.json() + rest.json()] == made[::-1]
    assert "next" not in rest.links


def test_an_unknown_batch_is_404(client: TestClient):
    problem = client.get("/api/batches/batch-none").json()
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert "GET /api/batches" in problem["detail"]


def test_a_run_on_all_that_was_approved_is_queued(client: TestClient, store: Store):
    add_batch(store, "a", "b")
    answer = client.post("/api/retrain", json={"epochs": 2, "note": "all"})
    run = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/runs/{run['id']}"
    assert client.get(answer.headers["location"]).json() == run
    assert (run["status"], run["learns_from"], run["note"]) == ("queued", "approved", "all")
    key = {"Idempotency-Key": "k"}
    first, again = (client.post("/api/retrain", json={}, headers=key).json() for _ in range(2))
    assert first["id"] == again["id"] != run["id"]


def test_nothing_approved_is_409_and_says_what_to_do(client: TestClient, store: Store):
    add_batch(store, "a", status="pending")
    problem = client.post("/api/retrain", json={}).json()
    assert (problem["status"], problem["code"], problem["pending_samples"]) == (409, "nothing_approved", 1)
    assert "Approve some" in problem["detail"]


def test_a_dry_run_tells_what_would_be_learned_and_starts_nothing(client: TestClient, store: Store):
    write_base_set(store.settings.annotated_dataset_root)
    add_batch(store, "a", "b")
    answer = client.post("/api/retrain", json={"train_replay": 3, "dry_run": True})
    assert answer.status_code == 200
    told = DatasetPreview.model_validate(answer.json())
    assert (told.feedback_samples, told.replay_samples) == (2, 3)
    assert list_runs(store) == []


def test_a_key_for_feeding_is_not_enough_to_retrain(remote: TestClient, store: Store):
    add_batch(store, "a")
    key = create_key(store, "night-feed", "feed")
    answer = remote.post("/api/retrain", json={}, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["needed_scope"]) == (403, "operate")
    assert list_runs(store) == []


def test_provenance_answers_both_ways(client: TestClient, store: Store):
    first, second = add_batch(store, "a", "b")
    made = fine_tuned(store, epochs=2)
    (listed,) = client.get("/api/checkpoints").json()
    assert listed == client.get(f"/api/checkpoints/{made.id}").json()
    assert (listed["id"], listed["is_live"]) == (made.id, True)
    page = client.get(f"/api/checkpoints/{made.id}/samples?limit=1")
    rest = client.get(page.links["next"]["url"])
    assert [one["sample_id"] for one in page.json() + rest.json()] == [first, second]
    assert "next" not in rest.links
    for address in (f"/api/samples/{first}", f"/api/images/{page.json()[0]['sha256']}"):
        (sighting,) = client.get(f"{address}/checkpoints").json()
        assert (sighting["checkpoint_id"], sighting["sample_id"]) == (made.id, first)


def test_checkpoints_come_in_pages(client: TestClient, store: Store):
    add_batch(store, "a")
    made = [fine_tuned(store, is_promoted=False).id for _ in range(3)]
    first = client.get("/api/checkpoints?limit=2")
    rest = client.get(first.links["next"]["url"])
    assert [one["id"] for one in first.json() + rest.json()] == made[::-1]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/api/checkpoints/ckpt-none", 404),
        ("/api/checkpoints/ckpt-none/samples", 404),
        ("/api/samples/sample-none/checkpoints", 404),
        ("/api/images/abc/checkpoints", 422),
        (f"/api/images/{'0' * 64}/checkpoints", 200),
        ("/api/checkpoints/a%00b", 422),
        (f"/api/checkpoints/ckpt-none/samples?offset={2**63}", 422),
    ],
)
def test_what_nobody_knows_is_said(client: TestClient, address: str, status: int):
    assert client.get(address).status_code == status
