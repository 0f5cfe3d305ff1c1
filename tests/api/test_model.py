"""What is live, for those who load it and those who change it."""

import hashlib
from datetime import datetime, timedelta

import pytest
from starlette.testclient import TestClient

from core.registry import checkpoints, publish
from core.store import Store
from core.store.keys import create_key
from tests.unit.registry.factories import judged, proven

WEIGHTS = bytes(range(256)) * 40


def promote(client: TestClient, checkpoint, expected, **more):
    body = {"checkpoint_id": checkpoint.id, "expected_champion_id": expected.id if expected else None}
    return client.post("/api/model/promote", json={**body, "reason": "better", **more})


def roll_back(client: TestClient, live, **more):
    return client.post(
        "/api/model/rollback", json={"expected_champion_id": live.id, "reason": "worse", **more}
    )


@pytest.fixture
def champion(client: TestClient, store: Store):
    """Weights of ten thousand bytes that are live."""
    checkpoint = proven(store, WEIGHTS)
    assert promote(client, checkpoint, None).status_code == 200
    return checkpoint


def test_nothing_is_live_at_first(client: TestClient):
    for path in ("/api/model", "/api/model/weights", "/api/model/at?time=2026-01-12T09:30:00Z"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert client.get("/api/model/ledger").json() == []


def test_the_manifest_is_told_once_as_long_as_nothing_changes(client: TestClient, store: Store, champion):
    answer = client.get("/api/model")
    model = answer.json()
    assert (model["id"], model["sha256"], model["action"]) == (champion.id, champion.sha256, "promote")
    assert model["class_names"] == champion.class_names
    assert (model["promoted_by"], model["reason"]) == ("local", "better")
    etag = answer.headers["etag"]
    again = client.get("/api/model", headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert again.headers["cache-control"] == "no-cache"
    second = proven(store, b"second")
    assert promote(client, second, champion).json()["id"] == second.id
    changed = client.get("/api/model", headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()["id"]) == (200, second.id)
    # The same weights once more are another publication.
    assert roll_back(client, second).json()["id"] == champion.id
    assert client.get("/api/model", headers={"If-None-Match": etag}).status_code == 200


def test_weights_come_whole_in_parts_or_not_again(client: TestClient, champion):
    whole = client.get("/api/model/weights")
    etag = whole.headers["etag"]
    assert whole.content == WEIGHTS
    assert etag == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    assert whole.headers["accept-ranges"] == "bytes"
    assert 'filename="best_finetune.pt"' in whole.headers["content-disposition"]
    part = client.get("/api/model/weights", headers={"Range": "bytes=100-199", "If-Range": etag})
    assert (part.status_code, part.content) == (206, WEIGHTS[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(WEIGHTS)}"
    rest = client.get("/api/model/weights", headers={"Range": "bytes=10000-"})
    assert (rest.status_code, rest.content) == (206, WEIGHTS[10_000:])
    end = client.get("/api/model/weights", headers={"Range": "bytes=-10"})
    assert (end.status_code, end.content) == (206, WEIGHTS[-10:])
    known = client.get("/api/model/weights", headers={"If-None-Match": etag})
    assert (known.status_code, known.content) == (304, b"")


def test_a_part_of_other_weights_is_not_mixed_with_these(client: TestClient, champion):
    answer = client.get("/api/model/weights", headers={"Range": "bytes=20000-", "If-Range": f'"{"0" * 64}"'})
    assert (answer.status_code, answer.content) == (200, WEIGHTS)


@pytest.mark.parametrize(
    "wrong",
    ["bytes=10240-", "bytes=5-4", "bytes=-0", "bytes=", "bytes=a-b", "lines=1-2", "bytes=0-1,99999-", "x"],
)
def test_a_range_that_there_is_not_is_a_problem(client: TestClient, champion, wrong: str):
    answer = client.get("/api/model/weights", headers={"Range": wrong})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_refused")
    assert answer.headers["content-type"] == "application/problem+json"


def test_weights_that_were_spoiled_are_sent_as_registered(client: TestClient, store: Store, champion):
    for path in (publish.published_path(store), checkpoints.weights_path(store, champion.id)):
        path.write_bytes(b"spoiled")
    assert client.get("/api/model/weights").content == WEIGHTS


def test_what_was_live_when(client: TestClient, store: Store, champion):
    second = proven(store, b"second")
    promote(client, second, champion)
    since = client.get("/api/model").json()["promoted_at"]
    before = (datetime.fromisoformat(since) - timedelta(microseconds=1)).isoformat()
    then = client.get("/api/model/at", params={"time": before}).json()
    assert (then["id"], then["live_until"]) == (champion.id, since)
    assert client.get("/api/model/at", params={"time": since}).json()["id"] == second.id
    assert client.get("/api/model/at", params={"time": "2020-01-01T00:00:00Z"}).status_code == 404
    for wrong in ("yesterday", "2026-01-12T09:30:00", ""):
        problem = client.get("/api/model/at", params={"time": wrong}).json()
        assert (problem["status"], problem["errors"][0]["pointer"]) == (422, "/time")


def test_the_ledger_is_told_page_by_page(client: TestClient, store: Store, champion):
    second = proven(store, b"second")
    promote(client, second, champion)
    roll_back(client, second, to=champion.id)
    newest, *older = client.get("/api/model/ledger").json()
    assert (newest["action"], newest["checkpoint_id"], newest["previous_id"]) == (
        "rollback",
        champion.id,
        second.id,
    )
    assert client.get("/api/model/ledger", params={"limit": 2, "before": newest["id"]}).json() == older
    assert client.get("/api/model/ledger", params={"before": 0}).status_code == 422


def test_who_saw_another_champion_is_told_which_is_live(client: TestClient, store: Store, champion):
    second, third = proven(store, b"second"), proven(store, b"third")
    promote(client, second, champion)
    for answer in (promote(client, third, champion), roll_back(client, champion)):
        problem = answer.json()
        assert (problem["status"], problem["code"], problem["champion_id"]) == (
            409,
            "champion_changed",
            second.id,
        )
    assert client.get("/api/model").json()["id"] == second.id


def test_a_failed_candidate_needs_the_word(client: TestClient, store: Store, champion):
    worse = judged(store, b"worse", "fail")
    problem = promote(client, worse, champion).json()
    assert (problem["status"], problem["code"], problem["verdict"]) == (409, "override_needed", "fail")
    model = promote(client, worse, champion, override="override", reason="the test set is wrong").json()
    assert (model["id"], model["verdict"], model["is_override"]) == (worse.id, "fail", True)


def test_rolling_back_further_than_there_is(client: TestClient, champion):
    problem = roll_back(client, champion).json()
    assert (problem["status"], problem["code"]) == (409, "no_earlier_champion")


@pytest.mark.parametrize(
    "change",
    [
        {"reason": " "},
        {"reason": None},
        {"checkpoint_id": "../x"},
        {"expected_champion_id": "a b"},
        {"force": 1},
    ],
    ids=str,
)
def test_a_body_that_is_none_changes_nothing(client: TestClient, store: Store, champion, change):
    second = proven(store, b"second")
    answer = promote(client, second, champion, **change)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert client.get("/api/model").json()["id"] == champion.id


@pytest.mark.parametrize("what", ["promote", "rollback"])
def test_a_key_for_feeding_may_read_and_not_change(remote: TestClient, store: Store, champion, what: str):
    key = {"Authorization": f"Bearer {create_key(store, 'feed-1', 'feed')}"}
    body = {"checkpoint_id": champion.id, "expected_champion_id": champion.id, "reason": "r"}
    answer = remote.post(f"/api/model/{what}", json=body, headers=key)
    assert (answer.status_code, answer.json()["needed_scope"]) == (403, "operate")
    assert remote.get("/api/model", headers=key).status_code == 200
    assert remote.get("/api/model").status_code == 401
    assert len(publish.ledger(store)) == 1


def test_a_service_says_what_it_serves(remote: TestClient, store: Store, champion):
    key = {"Authorization": f"Bearer {create_key(store, 'inference', 'feed')}"}
    operator = {"Authorization": f"Bearer {create_key(store, 'ben', 'operate')}"}

    def ack(sha256, service):
        return remote.post("/api/model/ack", json={"sha256": sha256, "service": service}, headers=key).json()

    told = ack(champion.sha256, "line-1")
    assert (told["actor"], told["service"], told["checkpoint_id"], told["is_current"]) == (
        "inference",
        "line-1",
        champion.id,
        True,
    )
    assert ack(champion.sha256, "line-1")["since"] == told["since"]
    assert (ack("f" * 64, "line-2")["checkpoint_id"], ack("f" * 64, "line-2")["is_current"]) == (None, False)
    state = remote.get("/api/model/services", headers=key).json()
    assert state["champion_id"] == champion.id
    assert [service["service"] for service in state["services"]] == ["line-2", "line-1"]
    second = proven(store, b"second")
    body = {"checkpoint_id": second.id, "expected_champion_id": champion.id, "reason": "better"}
    assert remote.post("/api/model/promote", json=body, headers=operator).json()["promoted_by"] == "ben"
    state = remote.get("/api/model/services", headers=key).json()
    assert not any(service["is_current"] for service in state["services"])
    assert ack(second.sha256, "line-1")["is_current"]


@pytest.mark.parametrize("sha256", ["", "A" * 64, "g" * 64, "0" * 63, None])
def test_what_is_no_digest_is_not_noted(client: TestClient, sha256):
    assert client.post("/api/model/ack", json={"sha256": sha256}).status_code == 422
    assert client.get("/api/model/services").json()["services"] == []
