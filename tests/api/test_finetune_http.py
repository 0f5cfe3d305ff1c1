"""The whole way over real HTTP: API, worker and runner are processes, the training trains."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from core.config import Settings
from core.registry.publish import champion
from core.schemas import FineTuneSummary, RunView
from core.store import Store
from core.store.run_views import list_runs
from tests.api.listening import listening
from tests.api.product import api_process, run_python, workers_of
from tests.factories import image, make_settings, thermal_file, write_base_set
from tests.processes import end_processes_of, free_port, wait_until
from tests.weights import write_tiny_weights

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.xdist_group("finetune over HTTP"),
]

LIST = {"Accept": "application/json"}
_YOLO_KEYS = {f"metrics/{name}(B)" for name in ("precision", "recall", "mAP50", "mAP50-95")} | {"fitness"}
_PREDICT = """
import sys
from core.config import Settings
from core.training.isolation import isolate
isolate(Settings())
from ultralytics import YOLO
model = YOLO(sys.argv[1])
found = model.predict(sys.argv[2], imgsz=64, device="cpu", save=False, verbose=False)
print(sorted(model.names.values()), len(found))
"""


@pytest.fixture(scope="module")
def images() -> Iterator[HTTPServer]:
    """Hands out `/<seed>.png`, each another picture, and 404 for all else."""
    with HTTPServer(host="127.0.0.1") as server:
        for seed in range(8):
            server.expect_request(f"/{seed}.png").respond_with_handler(
                lambda request: Response(thermal_file(int(request.path[1:-4])), content_type="image/png")
            )
        server.expect_request("/gone.png").respond_with_data("", status=404)
        yield server


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, images: HTTPServer) -> Iterator[Settings]:
    """A home with a base set and a detector, whose worker ends with the tests."""
    settings = make_settings(
        tmp_path_factory.mktemp("product"),
        worker_autostart=True,
        device="cpu",
        image_hosts=f"127.0.0.1:{images.port}",
        api_port=free_port(),
    )
    write_base_set(settings.annotated_dataset_root)
    write_tiny_weights(settings.pretrained_weights, settings.create_folders())
    yield settings
    end_processes_of(settings.home)


def batch(images: HTTPServer, *names: str, **more: Any) -> dict[str, Any]:
    posted = [image(images.url_for(f"/{name}.png")) for name in names]
    return {"images": posted, "epochs": 1, "batch_size": 2, "image_size": 64, "train_replay": 2, **more}


def as_the_old_client_posts(client: httpx2.Client, body: dict[str, Any]) -> httpx2.Response:
    """No header but those that cannot be left out, and no limit to its patience."""
    request = client.build_request("POST", "/api/finetune", content=json.dumps(body))
    return client.send(request)


class TestOneServer:
    """Calls that one server answers."""

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, product: Settings) -> Iterator[httpx2.Client]:
        with api_process(product) as (_, client):
            yield client

    def test_a_batch_comes_back_as_published_weights(self, client, product, images, tmp_path):
        answer = as_the_old_client_posts(client, batch(images, "0", "1", "gone", "2", note="first"))
        assert answer.status_code == 200, answer.text
        summary = FineTuneSummary.model_validate(answer.json())
        health = client.get("/health").json()
        events = client.get(f"/api/runs/{summary.run_id}/events", headers=LIST).json()

        assert set(summary.metrics) == set(summary.champion_metrics) == _YOLO_KEYS
        assert (summary.feedback_samples, summary.replay_samples, summary.dataset_size) == (3, 2, 5)
        assert [(put_aside.index, put_aside.image_url) for put_aside in summary.quarantined] == [
            (2, images.url_for("/gone.png"))
        ]
        assert (summary.hyperparameters.epochs, summary.hyperparameters.batch_size) == (1, 2)

        published = product.weights_dir / "best_finetune.pt"
        assert summary.weights_path == str(published)
        picture = tmp_path / "fresh.png"
        picture.write_bytes(thermal_file(99))
        assert run_python(product, "-c", _PREDICT, published, picture).split() == [
            "['cold", "joint',", "'hot", "joint',", "'overload']", "1"
        ]  # fmt: skip

        assert health["weights_exist"] is True
        assert health["champion_id"] == summary.champion_id
        assert [worker["device"] for worker in health["worker"]] == ["cpu"]
        states = [event["payload"]["status"] for event in events if event["kind"] == "status"]
        assert states == ["preparing", "training", "evaluating", "succeeded"]
        assert {"batch", "epoch", "phase"} <= {event["kind"] for event in events}

    def test_a_batch_without_a_usable_image_is_422_and_the_next_one_works(self, client, product, images):
        with Store.open(product) as store:
            before = champion(store)
            refused = as_the_old_client_posts(client, batch(images, "gone", "gone"))
            problem = refused.json()
            assert (refused.status_code, problem["code"]) == (422, "no_usable_images")
            assert [one["index"] for one in problem["quarantined"]] == [0, 1]
            assert all(one["detail"] and one["repair"] for one in problem["quarantined"])
            assert problem["instance"] == f"/api/runs/{problem['run_id']}"
            after = champion(store)
            # The first run of all adopts the baseline, whatever becomes of it.
            assert after.id == before.id if before else after.parent_id is None
            assert as_the_old_client_posts(client, batch(images, "3", "4")).status_code == 200

    def test_a_run_is_heard_live_and_stopped_with_its_best_kept(self, client, images):
        run_id = _start(client, batch(images, "0", "1", epochs=1_000))
        with listening(client.base_url.netloc.decode(), run_id) as events:
            assert next(event for event in events if event.kind == "epoch").data["payload"]["epoch"] == 1
            assert client.post(f"/api/runs/{run_id}/stop").status_code == 202
            *_, end = events
        run = RunView.model_validate(end.data)
        assert (end.kind, run.status, run.wanted) == ("end", "succeeded", "stop")
        assert 1 <= run.epochs_done < 1_000
        assert run.summary.checkpoint_id
        assert "epoch epoch=1" in client.get(f"/api/runs/{run_id}/log", params={"tail": 10_000}).text

    def test_a_run_is_cancelled_while_it_learns(self, client, product, images):
        run_id = _start(client, batch(images, "2", "3", epochs=1_000), key="to be cancelled")
        with listening(client.base_url.netloc.decode(), run_id) as events:
            next(event for event in events if event.kind == "batch")
            assert client.post(f"/api/runs/{run_id}/cancel").status_code == 202
            *_, end = events
        assert (end.kind, end.data["status"]) == ("end", "cancelled")
        assert not product.run_folder(run_id).exists()
        assert client.post(f"/api/runs/{run_id}/cancel").status_code == 200


def _start(client: httpx2.Client, body: dict[str, Any], key: str = "to be stopped") -> str:
    headers = {"Prefer": "respond-async", "Idempotency-Key": key}
    accepted = client.post("/api/finetune", json=body, headers=headers)
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json()["id"])


def test_a_restart_of_the_api_and_a_killed_worker_lose_nothing(product: Settings, images: HTTPServer):
    body, key = batch(images, "5", "6", epochs=60), {"Idempotency-Key": "restart"}
    with ThreadPoolExecutor() as pool, Store.open(product) as store:
        with api_process(product) as (process, client):
            known = {run.id for run in list_runs(store)}
            waiting = pool.submit(client.post, "/api/finetune", json=body, headers=key)
            wait_until(lambda: {run.id for run in list_runs(store)} - known)
            run_id = list_runs(store)[0].id
            process.terminate()
            interrupted = waiting.result()
        assert (interrupted.status_code, interrupted.json()["code"]) == (503, "api_stopping")
        assert interrupted.json()["run_id"] == run_id

        with api_process(product) as (_, client):
            waiting = pool.submit(client.post, "/api/finetune", json=body, headers=key)
            wait_until(lambda: client.get(f"/api/runs/{run_id}").json()["status"] == "training")
            for worker in workers_of(product):
                worker.kill()
            answer = waiting.result()
            assert answer.status_code == 200, answer.text
            assert answer.json()["run_id"] == run_id
            again = client.post("/api/finetune", json=body, headers=key)
            assert again.json() == answer.json()
