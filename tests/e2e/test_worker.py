"""The same way through queue, worker and runner, as processes of their own."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from core import run_finetune
from core.jobs import service
from core.store import Store, run_views, states
from tests.processes import processes_of, wait_until


@pytest.fixture
def store(product):
    with Store.open(product) as opened:
        yield opened


def _ended(store, run_id):
    return wait_until(lambda: (run := run_views.get_run(store, run_id)).status in states.ENDED and run)


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
    assert run_views.get_run(store, first).finished_at <= run_views.get_run(store, second).finished_at


def test_many_doors_at_once_start_one_worker(store, product, feedback):
    run_id = service.submit(store, feedback(), source="api", actor="t").run_id
    with ThreadPoolExecutor(8) as doors:
        for _ in range(40):
            doors.submit(service.ensure_worker, store)
    (worker,) = processes_of(product.home, "core.jobs.worker")
    _ended(store, run_id)
    assert [worker.pid] == [lives.pid for lives in service.live_workers(store)]
    assert processes_of(product.home, "core.jobs.worker") == [worker]


def test_a_worker_that_dies_while_it_starts_is_followed_by_another_at_once(store, product, feedback):
    run_id = service.submit(store, feedback(), source="api", actor="t").run_id
    (first,) = processes_of(product.home, "core.jobs.worker")
    first.kill()
    wait_until(lambda: not processes_of(product.home, "core.jobs.worker"))
    service.ensure_worker(store)
    (second,) = processes_of(product.home, "core.jobs.worker")
    assert second != first
    assert _ended(store, run_id).status == "succeeded"


@pytest.mark.postgres
def test_a_run_goes_the_same_way_on_postgresql(product, postgres_url, feedback):
    with Store.open(product.model_copy(update={"database_url": postgres_url})) as store:
        run = _ended(store, service.submit(store, feedback(), source="api", actor="t").run_id)
        assert run.summary.promoted
