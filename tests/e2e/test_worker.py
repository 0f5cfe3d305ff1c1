"""The same way through queue, worker and runner, as processes of their own."""

import psutil
import pytest

from core import run_finetune
from core.jobs import service
from core.store import Store, runs
from core.store.tables import Worker
from tests.processes import wait_until


@pytest.fixture
def store(product):
    with Store.open(product) as opened:
        yield opened


def _ended(store, run_id):
    return wait_until(lambda: (run := runs.get_run(store, run_id)).status in runs.ENDED and run)


def _worker_process(store) -> psutil.Process:
    def alive():
        with store.database.read() as session:
            pids = [worker.pid for worker in session.query(Worker)]
        return next((psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)), None)

    return wait_until(alive)


def _runner_in_training(store, run_id) -> psutil.Process:
    wait_until(lambda: runs.events_after(store, run_id, kinds=("batch",)))
    return wait_until(lambda: _worker_process(store).children())[0]


def test_a_submitted_run_gives_what_run_finetune_gives(product, store, feedback, tmp_path):
    through_queue = _ended(store, service.submit(store, feedback(), source="api", actor="t").run_id).summary
    elsewhere = product.model_copy(update={"home": tmp_path / "elsewhere"})
    here = run_finetune(feedback(), settings=elsewhere)
    assert through_queue.dataset_digest == here.dataset_digest
    assert through_queue.metrics == pytest.approx(here.metrics, abs=1e-3)
    with Store.open(elsewhere) as other:
        from core.registry import checkpoints

        assert (
            checkpoints.get(other, here.checkpoint_id).manifest["recipe"]
            == checkpoints.get(store, through_queue.checkpoint_id).manifest["recipe"]
        )


def test_two_runs_queue_up_and_both_end(store, feedback):
    first, second = (
        service.submit(store, feedback(count), source="api", actor="t").run_id for count in (2, 3)
    )
    assert _ended(store, second).summary.feedback_samples == 3
    assert _ended(store, first).summary.feedback_samples == 2
    assert runs.get_run(store, first).finished_at <= runs.get_run(store, second).finished_at


def test_two_doors_at_once_start_one_worker(store, feedback):
    run_id = service.submit(store, feedback(), source="api", actor="t").run_id
    for _ in range(3):
        service.ensure_worker(store)
    _ended(store, run_id)
    assert len(service.live_workers(store)) == 1


def test_a_runner_that_is_killed_leaves_a_run_that_says_so(store, feedback):
    run_id = service.submit(store, feedback(epochs=500), source="api", actor="t").run_id
    _runner_in_training(store, run_id).kill()
    run = _ended(store, run_id)
    assert (run.status, run.error["code"]) == ("failed", "runner_died")
    assert "signal 9" in run.error["detail"]
    assert run.error["extra"]["last_log_lines"]
    assert (
        _ended(store, service.submit(store, feedback(), source="api", actor="t").run_id).status == "succeeded"
    )


def test_a_run_whose_worker_is_killed_goes_on_with_the_next_worker(store, feedback):
    run_id = service.submit(store, feedback(epochs=40), source="api", actor="t").run_id
    runner = _runner_in_training(store, run_id)
    worker = _worker_process(store)
    worker.kill()
    worker.wait()
    wait_until(lambda: not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE)
    service.ensure_worker(store)
    assert _ended(store, run_id).status == "succeeded"
    told = [event.payload["status"] for event in runs.events_after(store, run_id, kinds=("status",))]
    assert told == [
        "preparing",
        "training",
        "interrupted",
        "queued",
        "training",
        "evaluating",
        "succeeded",
    ]


@pytest.mark.postgres
def test_a_run_goes_the_same_way_on_postgresql(product, postgres_url, feedback):
    with Store.open(product.model_copy(update={"database_url": postgres_url})) as store:
        run = _ended(store, service.submit(store, feedback(), source="api", actor="t").run_id)
        assert run.summary.promoted
