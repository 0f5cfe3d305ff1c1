"""Two checkpoints held against each other, and pins, over HTTP."""

import pytest
from starlette.testclient import TestClient

from core.dataset import frozen_sets
from core.registry import judging
from core.store import Store
from core.store.keys import create_key
from tests.factories import write_base_set
from tests.unit.registry.factories import register, scored


@pytest.fixture
def pair(store: Store) -> tuple[str, str]:
    """An old checkpoint that finds half of the boxes, and a new one that finds all."""
    old, new = register(store, b"old"), register(store, b"new")
    write_base_set(store.settings.base_set_root, images={"train": 2, "valid": 2, "test": 4})
    (images,) = judging.judging_sets(store, new)
    scored(store, old, images, found_share=0.5)
    scored(store, new, images, found_share=1)
    return old.id, new.id


def test_the_new_one_is_held_against_the_old_one(client: TestClient, pair: tuple[str, str]) -> None:
    asked = {"baseline_id": pair[0], "candidate_id": pair[1]}
    answer = client.post("/api/comparisons", json=asked)
    assert answer.status_code == 200, answer.text
    judged = answer.json()
    (compared,) = judged["comparisons"]
    assert judged["verdict"] == "not_enough_evidence"
    assert judged["reason"] == " ".join(one["sentence"] for one in judged["findings"])
    assert (compared["set_name"], compared["image_count"]) == ("test", 4)
    assert (compared["overall"]["recall"]["old"], compared["overall"]["recall"]["new"]) == (0.5, 1)
    images = client.get(f"/api/comparisons/{compared['id']}/images").json()
    assert [one["differences"][0]["kind"] for one in images] == ["found", "found"]
    again = client.post("/api/comparisons", json=asked).json()
    assert again == judged


def test_what_there_is_not_is_said(client: TestClient, pair: tuple[str, str]) -> None:
    answer = client.post("/api/comparisons", json={"baseline_id": pair[0], "candidate_id": "ckpt-none"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.get("/api/comparisons/comparison-none/images").status_code == 404
    assert client.post("/api/comparisons", json={"baseline_id": pair[0]}).status_code == 422


def test_a_pin_is_set_once_and_taken_back(client: TestClient) -> None:
    sha256 = "a" * 64
    first = client.put(f"/api/pins/{sha256}", json={"reason": "its bushing is forgotten"}).json()
    assert client.put(f"/api/pins/{sha256}", json={}).json() == first
    assert client.get("/api/pins").json() == [first]
    assert [client.delete(f"/api/pins/{sha256}").status_code for _ in range(2)] == [204, 204]
    assert client.get("/api/pins").json() == []
    assert client.put("/api/pins/XYZ", json={}).status_code == 422


def test_what_judges_is_not_pinned(client: TestClient, store: Store, pair: tuple[str, str]) -> None:
    test = frozen_sets.base_set(store).test
    frozen_sets.freeze(store, test)
    answer = client.put(f"/api/pins/{test.images[0].sha256}", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "image_judges")
    assert client.get("/api/pins").json() == []


def test_feeding_is_not_enough(client: TestClient, store: Store) -> None:
    headers = {"Authorization": f"Bearer {create_key(store, 'feed', 'feed')}"}
    assert client.get("/api/pins", headers=headers).status_code == 403
