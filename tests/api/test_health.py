import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from core import __version__
from core.config import Settings
from core.jobs.service import submit
from core.store import Store
from core.store.runs import enter
from core.store.tables import Worker
from tests.api.conftest import BASE_URL, LOCAL, DemoSettings
from tests.api.runs import REQUEST
from tests.processes import wait_until


@pytest.fixture
def complete(store: Store, settings: Settings) -> None:
    """A baseline, a base set and a worker that was just heard of."""
    settings.pretrained_weights.write_bytes(b"weights")
    settings.annotated_dataset_root.mkdir()
    with store.database.write() as session:
        session.add(Worker(id="worker-1", host="gpu-1", pid=4711, device="0"))


def break_database(store: Store) -> None:
    """From now on no connection opens: the address leads nowhere."""
    store.database.close()
    store.database.engine.pool = sa.create_engine("sqlite:////nowhere/at/all.sqlite").pool


@pytest.mark.usefixtures("complete")
def test_health_tells_what_the_service_works_with(client: TestClient, store: Store, settings: Settings):
    first, _ = (submit(store, REQUEST, source="test", actor="tester").run_id for _ in range(2))
    enter(store, first, "preparing")
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert health["reasons"] == []
    assert health["version"] == __version__
    assert health["pretrained_weights"] == str(settings.pretrained_weights)
    assert health["pretrained_exists"] is True
    assert health["annotated_dataset_root"] == str(settings.annotated_dataset_root)
    assert health["annotated_dataset_exists"] is True
    assert health["weights_path"] == str(settings.weights_dir / "best_finetune.pt")
    assert health["weights_exist"] is False
    assert health["champion_id"] is None
    assert health["database"] == "ok"
    assert [(worker["id"], worker["host"], worker["device"]) for worker in health["worker"]] == [
        ("worker-1", "gpu-1", "0")
    ]
    assert health["queue"] == {"queued": 1, "running": 1}


def test_what_is_missing_is_named_with_the_setting_that_cures_it(client: TestClient, store: Store):
    submit(store, REQUEST, source="test", actor="tester")
    health = client.get("/health").json()
    assert health["status"] == "degraded"
    words = ("TMS_PRETRAINED_WEIGHTS", "TMS_ANNOTATED_DATASET_ROOT", "python -m core.jobs.worker")
    assert [word in reason for word, reason in zip(words, health["reasons"], strict=True)] == [True] * 3


@pytest.mark.usefixtures("complete")
def test_a_worker_that_went_home_is_no_fault_while_nothing_waits(client: TestClient, store: Store):
    with store.database.write() as session:
        session.execute(sa.delete(Worker))
    assert client.get("/health").json()["status"] == "ok"
    submit(store, REQUEST, source="test", actor="tester")
    assert client.get("/health").json()["status"] == "degraded"


def test_ready_waits_for_the_baseline(client: TestClient, settings: Settings):
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "baseline_missing")
    settings.pretrained_weights.write_bytes(b"weights")
    assert client.get("/health/ready").json() == {"status": "ok"}


@pytest.mark.usefixtures("complete")
def test_a_dead_database_is_told_and_the_process_lives_on(client: TestClient, store: Store):
    break_database(store)
    health = client.get("/health").json()
    assert (health["status"], health["database"], health["queue"]) == ("degraded", "unavailable", None)
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert client.get("/health/live").status_code == 200
    assert client.get("/api/runs").status_code == 503


def test_who_looks_after_runs_goes_on_when_the_database_is_back(
    app: FastAPI, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("api.app._KEEPER_LOOKS_EVERY_S", 0.01)
    log = settings.logs_dir / "api.log"
    with TestClient(app, base_url=BASE_URL, client=LOCAL) as client:
        pool = app.state.store.database.engine.pool
        break_database(app.state.store)
        wait_until(lambda: log.read_text(encoding="utf-8").count("could not be looked after") >= 2)
        app.state.store.database.engine.pool = pool
        assert client.get("/api/runs").status_code == 200


def test_metrics_count_requests_runs_and_workers(client: TestClient, store: Store, complete: None):
    submit(store, REQUEST, source="test", actor="tester")
    client.get("/api/runs/run-unknown")
    text = client.get("/metrics").text
    assert 'tms_runs{status="queued"} 1.0' in text
    assert 'tms_runs{status="training"} 0.0' in text
    assert "tms_workers_alive 1.0" in text
    assert 'http_requests_total{handler="/api/runs/{run_id}",method="GET",status="4xx"} 1.0' in text


def test_the_demo_s_images_are_served_as_soon_as_they_are_there(tmp_path):
    settings = DemoSettings(_env_file=None, home=tmp_path, worker_autostart=False)
    with TestClient(create_app(settings), base_url=BASE_URL, client=LOCAL) as client:
        assert client.get("/demo/feedback/images/one.png").status_code == 404
        folder = settings.demo_dir / "feedback" / "images"
        folder.mkdir(parents=True)
        (folder / "one.png").write_bytes(b"\x89PNG")
        (settings.demo_dir / "secret.txt").write_text("outside")
        answer = client.get("/demo/feedback/images/one.png")
        assert (answer.status_code, answer.content) == (200, b"\x89PNG")
        for way_out in ("..%2fsecret.txt", "%2e%2e/secret.txt", "images/../../secret.txt", ""):
            assert client.get(f"/demo/feedback/{way_out}").status_code in (401, 404)


def test_nothing_is_served_at_the_demo_s_address_without_a_demo(
    app: FastAPI, client: TestClient, settings: Settings
):
    folder = settings.demo_dir / "feedback"
    folder.mkdir(parents=True)
    (folder / "one.png").write_bytes(b"\x89PNG")
    assert client.get("/demo/feedback/one.png").status_code == 404
