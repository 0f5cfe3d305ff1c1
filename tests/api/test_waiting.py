"""How long `POST /api/finetune` waits, and what it answers then."""

import json
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from core.config import Settings
from core.errors import NoUsableImages, OutOfMemory, RunnerDied, TmsError, TrainingFailed
from core.registry.publish import published_path
from core.schemas import DatasetPreview
from core.store import Store
from core.store.run_views import get_run, list_runs
from core.store.runs import enter
from tests.api.conftest import BASE_URL, LOCAL, serving
from tests.api.runs import BODY, answer_of, end_with, newest, succeed, summary_of
from tests.factories import image, make_settings, write_base_set
from tests.processes import wait_until
from tests.unit.registry.factories import promote, register

ASYNC = {"Prefer": "respond-async"}
Post = Callable[..., Future]


@pytest.fixture
def post(client: TestClient) -> Iterator[Post]:
    """Posts in a thread of its own, so that the test goes on while the call waits."""
    with ThreadPoolExecutor() as pool:
        yield lambda headers=None, body=BODY: pool.submit(
            client.post, "/api/finetune", json=body, headers=headers
        )


@pytest.fixture
def waiting(post: Post, store: Store) -> tuple[Future, str]:
    """A call that waits, and the run it waits for."""
    call = post()
    wait_until(lambda: list_runs(store))
    return call, newest(store)


def test_a_plain_call_waits_for_the_end_and_answers_with_the_summary(
    waiting, store: Store, client: TestClient
):
    call, run_id = waiting
    for status in ("preparing", "training"):
        enter(store, run_id, status)
        assert client.get(f"/api/runs/{run_id}").json()["status"] == status
        assert not call.done()
    enter(store, run_id, "evaluating")
    enter(store, run_id, "succeeded", summary=summary_of(run_id))
    answer = call.result()
    assert answer.status_code == 200
    assert answer.json() == answer_of(store, run_id)
    assert "preference-applied" not in answer.headers


def test_a_run_that_is_interrupted_is_waited_for_until_it_went_on(waiting, store: Store):
    call, run_id = waiting
    for status in ("preparing", "interrupted", "queued"):
        enter(store, run_id, status)
    succeed(store, run_id)
    assert call.result().status_code == 200


@pytest.mark.parametrize(
    "error",
    [
        NoUsableImages("No image can be used.", quarantined=[{"index": 0, "code": "http_status"}]),
        TrainingFailed("The loss became NaN at step 3."),
        RunnerDied("The training process was killed.", exit_status=-9),
        OutOfMemory(
            "A batch did not fit into memory.",
            **{"exception": "MemoryError", "last_log_lines": ["ERROR out"], "try": ["Halve batch_size."]},
        ),
    ],
)
def test_a_failed_run_answers_with_its_own_error(waiting, store: Store, error: TmsError):
    call, run_id = waiting
    end_with(store, run_id, error)
    answer = call.result()
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == problem["status"] == error.status
    assert (problem["code"], problem["title"], problem["detail"]) == (error.code, error.title, error.detail)
    assert problem["instance"] == f"/api/runs/{run_id}"
    assert {name: problem[name] for name in error.extra} == error.extra


def test_what_another_host_has_published_is_here_before_the_caller_hears_of_it(
    settings: Settings, tmp_path: Path
):
    shared = {"database_url": f"sqlite:///{tmp_path / 'tms.sqlite'}", "blob_url": str(tmp_path / "blobs")}
    here, there = (make_settings(tmp_path / name, **shared) for name in ("here", "there"))
    key = ASYNC | {"Idempotency-Key": "night-shift-17"}
    with (
        TestClient(create_app(here), base_url=BASE_URL, client=LOCAL) as client,
        Store.open(there) as other_host,
    ):
        client.post("/api/finetune", json=BODY, headers=key)
        run_id = newest(other_host)
        promote(other_host, register(other_host, b"weights of the other host"), None, run_id)
        succeed(other_host, run_id)
        answer = client.post("/api/finetune", json=BODY, headers=key)
        assert answer.status_code == 200
        assert Path(answer.json()["weights_path"]).is_relative_to(here.home)
        assert Path(answer.json()["weights_path"]).read_bytes() == b"weights of the other host"


def test_weights_that_cannot_be_had_here_are_an_error_that_names_the_run(
    client: TestClient, store: Store, settings: Settings
):
    key = ASYNC | {"Idempotency-Key": "night-shift-17"}
    client.post("/api/finetune", json=BODY, headers=key)
    run_id = newest(store)
    candidate = register(store, b"weights")
    promote(store, candidate, None, run_id)
    succeed(store, run_id)
    for damaged in (store.settings.weights_dir / candidate.id / "weights.pt", published_path(store)):
        damaged.unlink()
    store.blobs.delete(candidate.sha256)
    problem = client.post("/api/finetune", json=BODY, headers=key).json()
    assert (problem["code"], problem["run_id"]) == ("checkpoint_damaged", run_id)
    assert get_run(store, run_id).status == "succeeded"


def test_a_cancelled_run_is_409(waiting, store: Store):
    call, run_id = waiting
    enter(store, run_id, "cancelled")
    problem = call.result().json()
    assert (problem["status"], problem["code"], problem["run_id"]) == (409, "run_cancelled", run_id)


def test_respond_async_answers_at_once_with_the_way_to_the_run(client: TestClient, store: Store):
    answer = client.post("/api/finetune", json=BODY, headers=ASYNC)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/runs/{newest(store)}"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.json() == client.get(answer.headers["location"]).json()
    assert answer.json()["status"] == "queued"


def test_wait_gives_up_with_202_when_its_seconds_are_over(client: TestClient, store: Store):
    answer = client.post("/api/finetune", json=BODY, headers={"Prefer": "respond-async, wait=1"})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async, wait=1"
    assert get_run(store, newest(store)).status == "queued"


def test_wait_answers_with_the_outcome_if_it_comes_in_time(post: Post, store: Store):
    call = post({"Prefer": "respond-async, wait=600"})
    wait_until(lambda: list_runs(store))
    succeed(store, newest(store))
    answer = call.result()
    assert (answer.status_code, answer.json()) == (200, answer_of(store, newest(store)))
    assert answer.headers["preference-applied"] == "respond-async, wait=600"


def test_the_same_key_and_body_stand_for_one_run(client: TestClient, post: Post, store: Store):
    key = {"Idempotency-Key": "night-shift-17"}
    first = client.post("/api/finetune", json=BODY, headers=ASYNC | key)
    second, third = post(key), post(key)
    succeed(store, newest(store))
    assert first.headers["location"] == f"/api/runs/{newest(store)}"
    assert second.result().json() == third.result().json() == answer_of(store, newest(store))
    assert len(list_runs(store)) == 1
    again = client.post("/api/finetune", json=BODY, headers=ASYNC | key)
    assert (again.status_code, again.json()) == (200, answer_of(store, newest(store)))


def test_the_same_key_with_another_body_is_refused(client: TestClient, store: Store):
    key = {"Idempotency-Key": "night-shift-17"}
    client.post("/api/finetune", json=BODY, headers=ASYNC | key)
    answer = client.post("/api/finetune", json={**BODY, "epochs": 2}, headers=ASYNC | key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")
    assert len(list_runs(store)) == 1


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_that_cannot_be_kept_is_refused(client: TestClient, store: Store, key: str):
    answer = client.post("/api/finetune", json=BODY, headers=ASYNC | {"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/idempotency-key")
    assert list_runs(store) == []


def test_a_dry_run_tells_what_would_be_learned_and_starts_nothing(client: TestClient, store: Store):
    write_base_set(store.settings.annotated_dataset_root)
    body = {"images": [image("http://127.0.0.1:9/one.png")] * 2, "train_replay": 2, "dry_run": True}
    told = client.post("/api/finetune", json=body)
    assert told.status_code == 200
    preview = DatasetPreview.model_validate(told.json())
    assert (preview.feedback_samples, preview.replay_samples, preview.dataset_size) == (2, 2, 4)
    assert preview.base_images == 6
    assert preview.boxes_per_class["hot joint"] == 2
    assert list_runs(store) == []


def test_a_dry_run_without_a_base_set_says_what_is_missing(client: TestClient):
    answer = client.post("/api/finetune", json={**BODY, "dry_run": True})
    assert (answer.status_code, answer.json()["code"]) == (503, "base_set_missing")


def test_json_without_a_content_type_is_taken(client: TestClient, store: Store):
    answer = client.post("/api/finetune", content=json.dumps(BODY), headers=ASYNC)
    assert "content-type" not in answer.request.headers
    assert answer.status_code == 202


def test_sixty_waiting_calls_do_not_keep_others_waiting(client: TestClient, store: Store):
    with ThreadPoolExecutor(60) as pool:
        calls = [pool.submit(client.post, "/api/finetune", json=BODY) for _ in range(60)]
        wait_until(lambda: len(list_runs(store, limit=100)) == 60)
        assert client.get("/health/live").status_code == 200
        for run in list_runs(store, limit=100):
            succeed(store, run.id)
        assert {call.result().status_code for call in calls} == {200}


def test_a_caller_that_goes_away_stops_waiting_and_nothing_else(app: FastAPI, settings: Settings):
    with serving(app, settings) as (_, address):
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(_request(address))
            wait_until(lambda: list_runs(app.state.store))
        run_id = newest(app.state.store)
        log = settings.logs_dir / "api.log"
        wait_until(lambda: '"path": "/api/finetune"' in log.read_text(encoding="utf-8"))
        assert get_run(app.state.store, run_id).status == "queued"
        succeed(app.state.store, run_id)
        assert get_run(app.state.store, run_id).status == "succeeded"


def test_a_server_that_stops_tells_who_waits_that_the_run_goes_on(app: FastAPI, settings: Settings):
    with serving(app, settings) as (server, address):
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(_request(address))
            wait_until(lambda: list_runs(app.state.store))
            run_id = newest(app.state.store)
            server.handle_exit(signal.SIGTERM, None)
            answer = b"".join(iter(lambda: caller.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 503 " in head.splitlines()[0]
    assert (json.loads(body)["code"], json.loads(body)["run_id"]) == ("api_stopping", run_id)
    with Store.open(settings) as store:
        assert get_run(store, run_id).status == "queued"


def _request(address: str) -> bytes:
    body = json.dumps(BODY)
    head = f"POST /api/finetune HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n{body}".encode()
