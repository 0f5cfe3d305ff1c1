import json
import re
import socket

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from api.app import create_app
from api.security import PUBLIC_PATHS, authorize, check_binding, check_host, scoped
from core.config import Settings
from core.errors import HostRefused, InsecureBinding
from core.store import Store
from core.store.keys import create_key, list_keys, revoke_key
from core.store.run_views import get_run, list_runs
from tests.api.conftest import BASE_URL, LOCAL, DemoSettings
from tests.api.runs import BODY, newest
from tests.factories import make_settings

ASYNC = {"Prefer": "respond-async"}
OPERATE = {
    "/api/comparisons",
    "/api/comparisons/{comparison_id}/images",
    "/api/pins",
    "/api/pins/{sha256}",
    "/api/export",
    "/api/model/promote",
    "/api/model/rollback",
    "/api/imports",
    "/api/quarantine",
    "/api/quarantine/repair",
    "/api/quarantine/{sample_id}/repair",
    "/api/retrain",
    "/api/runs/{run_id}/cancel",
    "/api/runs/{run_id}/retry",
    "/api/runs/{run_id}/stop",
    "/api/samples",
    "/api/samples/counts",
    "/api/samples/fill-gaps",
    "/api/samples/verdicts",
    "/api/samples/{sample_id}",
    "/api/samples/{sample_id}/detections",
    "/api/samples/{sample_id}/image",
    "/api/samples/{sample_id}/thumbnail",
    "/api/samples/{sample_id}/undo",
    "/api/samples/{sample_id}/verdict",
}
"""What needs more than a feed's key."""


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def open_routes(app: FastAPI) -> set[str]:
    """Paths of the routes that ask for no scope."""
    return {
        context.path
        for context in iter_route_contexts(app.routes)
        if not any(one.dependency is authorize and one.scopes for one in getattr(context, "dependencies", []))
    }


def test_every_route_asks_for_a_scope_unless_it_is_listed_as_public(app: FastAPI):
    assert open_routes(app) == PUBLIC_PATHS


def test_in_demo_mode_its_images_are_the_only_further_public_ones(tmp_path):
    assert open_routes(create_app(DemoSettings(_env_file=None, home=tmp_path))) == PUBLIC_PATHS | {
        "/demo/feedback"
    }


def test_a_route_without_a_scope_would_be_noticed(app: FastAPI):
    router = APIRouter()
    router.add_api_route("/api/forgotten", lambda: None)
    app.include_router(router)
    assert "/api/forgotten" in open_routes(app)


def test_a_route_that_forgot_its_scope_is_still_closed_to_strangers(app: FastAPI, remote: TestClient):
    app.add_api_route("/api/forgotten", lambda: "secret")
    assert remote.get("/api/forgotten").status_code == 401


def test_without_keys_this_machine_acts_as_local(client: TestClient, store: Store):
    assert client.post("/api/finetune", json=BODY, headers=ASYNC).status_code == 202
    assert get_run(store, newest(store)).actor == "local"


def test_without_keys_another_machine_is_told_how_to_make_one(remote: TestClient, store: Store):
    answer = remote.post("/api/finetune", json=BODY, headers=ASYNC)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert "python -m core keys create NAME --scope feed" in answer.json()["detail"]
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert list_runs(store) == []


def test_with_a_key_even_this_machine_must_show_it(client: TestClient, store: Store):
    key = create_key(store, "feed-1", "feed")
    assert client.get("/api/runs").status_code == 401
    assert client.get("/api/runs", headers=bearer("tms_wrong")).status_code == 401
    assert client.get("/api/runs", headers={"Authorization": f"Basic {key}"}).status_code == 401
    assert client.get("/api/runs", headers=bearer(key)).status_code == 200


def test_the_key_s_name_is_the_actor(remote: TestClient, store: Store):
    key = create_key(store, "feed-1", "feed")
    assert remote.post("/api/finetune", json=BODY, headers=ASYNC | bearer(key)).status_code == 202
    assert get_run(store, newest(store)).actor == "feed-1"
    assert list_keys(store)[0].last_used_at is not None


def test_a_revoked_key_is_refused_at_the_next_request(remote: TestClient, store: Store):
    create_key(store, "other", "feed")
    key = create_key(store, "feed-1", "feed")
    assert remote.get("/api/runs", headers=bearer(key)).status_code == 200
    revoke_key(store, "feed-1")
    assert remote.get("/api/runs", headers=bearer(key)).status_code == 401


@pytest.mark.parametrize(
    ("held", "needed", "status"),
    [("feed", "feed", 200), ("feed", "operate", 403), ("operate", "admin", 403), ("admin", "operate", 200)],
)
def test_a_scope_that_is_too_small_is_refused(
    app: FastAPI, remote: TestClient, store: Store, held, needed, status
):
    router = scoped(needed)
    router.add_api_route("/probe", lambda: "in")
    app.include_router(router)
    answer = remote.get("/api/probe", headers=bearer(create_key(store, "someone", held)))
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "forbidden"
        assert answer.json()["needed_scope"] == needed


def test_health_metrics_and_the_document_are_public(remote: TestClient, store: Store):
    create_key(store, "feed-1", "feed")
    for path in PUBLIC_PATHS - {"/health/ready"}:
        assert remote.get(path).status_code == 200, path


def test_a_stranger_s_body_is_not_even_read(app: FastAPI, remote: TestClient, store: Store):
    create_key(store, "feed-1", "feed")
    answer = remote.post("/api/finetune", content=b"{not json", headers={"Content-Type": "application/json"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8002", "127.0.0.1.evil.example", "8.8.8.8", "[", ""]
)
def test_a_rebound_name_gets_nothing(client: TestClient, host: str):
    answer = client.get("/api/runs", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["code"] == "host_refused"


@pytest.mark.parametrize("host", ["localhost:8002", "127.0.0.1:8002", "[::1]:8002", "LOCALHOST"])
def test_the_names_of_this_machine_are_served(client: TestClient, host: str):
    assert client.get("/api/runs", headers={"Host": host}).status_code == 200


def test_an_open_server_answers_to_its_own_name_and_any_address(tmp_path):
    settings = make_settings(tmp_path, api_host="tms.plant.example")
    for host in (
        "tms.plant.example:8002",
        "192.0.2.7:8002",
        "[2001:db8::7]:8002",
        "localhost",
        socket.gethostname(),
    ):
        check_host(Headers({"host": host}), settings)
    with pytest.raises(HostRefused):
        check_host(Headers({"host": "evil.example"}), settings)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1:8002.evil"]
)
def test_a_foreign_page_cannot_post(client: TestClient, store: Store, origin: str):
    # What a browser lets any page send without asking first: a text body and no further header.
    content = json.dumps(BODY)
    answer = client.post(
        "/api/finetune", content=content, headers={"Origin": origin, "Content-Type": "text/plain"}
    )
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"
    assert list_runs(store) == []


def test_a_page_of_this_server_may_post(client: TestClient):
    answer = client.post("/api/finetune", json=BODY, headers=ASYNC | {"Origin": BASE_URL})
    assert answer.status_code == 202


def test_no_answer_allows_foreign_pages_to_read_it(client: TestClient):
    answer = client.get("/api/runs", headers={"Origin": "https://evil.example"})
    asked = client.options(
        "/api/finetune", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    for one in (answer, asked):
        assert not [name for name in one.headers if name.startswith("access-control")]


def test_a_proxy_on_this_machine_does_not_make_strangers_local(settings: Settings):
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    app = create_app(settings)
    with TestClient(app, base_url=BASE_URL, client=LOCAL):
        behind = TestClient(ProxyHeadersMiddleware(app), base_url=BASE_URL, client=LOCAL)
        assert behind.get("/api/runs").status_code == 200
        assert behind.get("/api/runs", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 401
        spoofed = {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}
        assert behind.get("/api/runs", headers=spoofed).status_code == 401


def test_only_loopback_is_served_without_a_key(store: Store):
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check_binding(store, host)
    for host in ("0.0.0.0", "::", "192.0.2.7", "tms.plant.example"):
        with pytest.raises(InsecureBinding, match=re.escape("python -m core keys create NAME --scope feed")):
            check_binding(store, host)
    create_key(store, "feed-1", "feed")
    check_binding(store, "0.0.0.0")


def test_neither_keys_nor_query_strings_reach_the_log(client: TestClient, store: Store, settings: Settings):
    key = create_key(store, "feed-1", "feed")
    client.get("/api/runs?before=secret-in-query", headers=bearer(key))
    client.get("/api/runs", headers=bearer("tms_mistyped"))
    text = (settings.logs_dir / "api.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [
        (line["path"], line["status"], line["actor"]) for line in lines if line["event"] == "request"
    ] == [
        ("/api/runs", 200, "feed-1"),
        ("/api/runs", 401, None),
    ]
    assert not any(secret in text for secret in (key, "tms_mistyped", "secret-in-query"))


def test_every_scoped_route_names_its_key_in_the_document(app: FastAPI):
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute) and context.path.startswith("/api/"):
            for method, operation in app.openapi()["paths"][context.path].items():
                assert operation["security"] == [{"API key": [_scope_of(method, context.path)]}]


def _scope_of(method: str, path: str) -> str:
    if path.startswith("/api/webhooks"):
        return "admin"
    makes_an_export = method == "post" and path.endswith("/onnx")
    return "operate" if path in OPERATE or makes_an_export else "feed"
