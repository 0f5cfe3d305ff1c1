"""What waits in quarantine, and what gets it out, over HTTP."""

import pytest
from starlette.testclient import TestClient

from core.feedback import intake
from core.jobs.bell import Listener
from core.store import Store
from core.store.keys import create_key
from core.store.tables import Sample
from tests.factories import CLASS_NAMES, detection, image, request, thermal_file


@pytest.fixture
def batch_id(client: TestClient, store: Store) -> str:
    """A batch of three images that cannot be used: two may not be fetched, one names an unknown class."""
    uploaded = client.post("/api/images", content=thermal_file()).json()["image_url"]
    unknown = image(uploaded, detection(class_id="Hot Joint"), sample_id="c")
    asked = request(image("file:///a?sig=SECRET"), image("file:///b"), unknown)
    with store.database.write() as session:
        batch = intake.record_batch(session, asked, source="api", actor="feed")
    intake.take_in(
        store, batch.id, class_names=CLASS_NAMES, judging={}, champion_id=None, on_progress=lambda *_: None
    )
    return batch.id


def listed(client: TestClient, **query: object) -> list[dict]:
    answer = client.get("/api/quarantine", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def status_of(store: Store, sample_id: str) -> str:
    with store.database.read() as session:
        return session.get_one(Sample, sample_id).status


def test_each_sample_tells_why_and_what_helps(client: TestClient, batch_id: str) -> None:
    *unfetched, unknown = listed(client)
    assert (unknown["code"], unknown["repairs"]) == ("class_unknown", ["map_class"])
    assert (unknown["sample_id"], unknown["index"], unknown["can_be_seen"]) == ("c", 2, True)
    assert "Hot Joint" in unknown["detail"]
    assert [one["can_be_seen"] for one in unfetched] == [False, False]
    assert "SECRET" not in str(unfetched)


def test_pages_and_filters(client: TestClient, batch_id: str) -> None:
    first = client.get("/api/quarantine", params={"limit": 2, "batch": batch_id})
    assert [one["index"] for one in first.json()] == [0, 1]
    assert [one["index"] for one in client.get(first.links["next"]["url"]).json()] == [2]
    assert [one["index"] for one in listed(client, code="fetch_refused_url")] == [0, 1]
    assert listed(client, batch="batch-other") == []


def test_a_repaired_sample_waits_for_intake_and_the_worker_hears_of_it(
    client: TestClient, store: Store, batch_id: str
) -> None:
    listener = Listener(store.settings)
    listener.has_rung()
    first = listed(client)[0]["id"]
    answer = client.post(f"/api/quarantine/{first}/repair", json={"kind": "retry"})
    assert (answer.status_code, answer.json()) == (202, {"repaired": [first], "refused": {}})
    assert status_of(store, first) == "pending"
    assert listener.has_rung()
    again = client.post(f"/api/quarantine/{first}/repair", json={"kind": "retry"})
    assert (again.status_code, again.json()["code"]) == (409, "not_repairable")


def test_many_are_repaired_and_each_is_answered(client: TestClient, store: Store, batch_id: str) -> None:
    answer = client.post("/api/quarantine/repair", json={"kind": "retry", "batch_id": batch_id}).json()
    assert len(answer["repaired"]) == 2
    (refused,) = answer["refused"]
    assert "map_class" in answer["refused"][refused]
    mapped = {"kind": "map_class", "class_map": {"Hot Joint": "hot joint"}, "sample_ids": [refused, "none"]}
    answer = client.post("/api/quarantine/repair", json=mapped).json()
    assert answer["repaired"] == [refused]
    assert list(answer["refused"]) == ["none"]
    assert listed(client) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "pray"},
        {"kind": "retry"},
        {"kind": "retry", "sample_ids": []},
        {"kind": "retry", "sample_ids": ["../a"]},
        {"kind": "retry", "sample_ids": ["a"], "code": "conflict"},
        {"kind": "accept", "reason": "  ", "code": "conflict"},
    ],
)
def test_what_cannot_be_meant_is_refused(client: TestClient, body: dict) -> None:
    answer = client.post("/api/quarantine/repair", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_an_unknown_sample(client: TestClient) -> None:
    answer = client.post("/api/quarantine/sample-none/repair", json={"kind": "retry"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_feeding_is_not_enough(client: TestClient, store: Store) -> None:
    key = create_key(store, "feed", "feed")
    answer = client.get("/api/quarantine", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
