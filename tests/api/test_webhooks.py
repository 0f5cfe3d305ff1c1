"""Setting webhooks up over HTTP, and news that a running API delivers."""

import pytest
from starlette.testclient import TestClient

from core.config import Settings
from core.store import Store
from core.store.keys import create_key
from tests.factories import make_settings
from tests.processes import wait_until
from tests.unit.registry.factories import proven


@pytest.fixture
def settings(tmp_path, httpserver) -> Settings:
    return make_settings(tmp_path, webhook_hosts=f"localhost:{httpserver.port}")


def test_an_admin_sets_one_up_and_takes_it_away(client: TestClient, httpserver):
    body = {"url": httpserver.url_for("/hook?token=abc"), "events": ["promoted", "verdict"]}
    answer = client.post("/api/webhooks", json=body)
    made = answer.json()
    assert (answer.status_code, made["actor"], made["events"]) == (201, "local", body["events"])
    secret = made.pop("secret")
    assert client.get("/api/webhooks").json() == [made]
    assert secret not in client.get("/api/webhooks").text
    address = f"/api/webhooks/{made['id']}"
    assert client.get(f"{address}/deliveries").json() == []
    assert (client.delete(address).status_code, client.get("/api/webhooks").json()) == (204, [])
    for gone in (client.delete(address), client.get(f"{address}/deliveries")):
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def test_a_promotion_is_delivered_and_shown(client: TestClient, store: Store, httpserver):
    httpserver.expect_request("/hook").respond_with_data("")
    url = httpserver.url_for("/hook")
    made = client.post("/api/webhooks", json={"url": url, "events": ["promoted"]}).json()
    checkpoint = proven(store, b"1")
    body = {"checkpoint_id": checkpoint.id, "expected_champion_id": None, "reason": "first"}
    assert client.post("/api/model/promote", json=body).status_code == 200
    # The API's own keeper takes it there.
    wait_until(lambda: client.get("/api/webhooks").json()[0]["delivered"] == 1)
    [(asked, _)] = httpserver.log
    assert asked.json["data"]["checkpoint_id"] == checkpoint.id
    [told] = client.get(f"/api/webhooks/{made['id']}/deliveries", params={"limit": 1}).json()
    assert (told["event"], told["subject"], told["status"], told["tries"]) == (
        "promoted",
        "1",
        "delivered",
        1,
    )
    older = client.get(f"/api/webhooks/{made['id']}/deliveries", params={"before": told["id"]})
    assert older.json() == []


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://10.0.0.1/hook"},
        {"url": "x"},
        {"url": ""},
        {"events": []},
        {"events": ["deleted"]},
        {"a": 1},
    ],
    ids=str,
)
def test_what_cannot_be_a_webhook_is_told(client: TestClient, httpserver, change):
    body = {"url": httpserver.url_for("/hook"), "events": ["promoted"], **change}
    answer = client.post("/api/webhooks", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert client.get("/api/webhooks").json() == []


def test_an_operator_may_not_see_or_change_them(remote: TestClient, store: Store, httpserver):
    key = {"Authorization": f"Bearer {create_key(store, 'ben', 'operate')}"}
    body = {"url": httpserver.url_for("/hook"), "events": ["promoted"]}
    for answer in (
        remote.get("/api/webhooks", headers=key),
        remote.post("/api/webhooks", json=body, headers=key),
        remote.delete("/api/webhooks/webhook-1", headers=key),
        remote.get("/api/webhooks/webhook-1/deliveries", headers=key),
    ):
        assert (answer.status_code, answer.json()["needed_scope"]) == (403, "admin")
