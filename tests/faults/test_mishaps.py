"""A database that goes away, a state that is damaged, a caller that dies: the run goes on or says why not."""

import subprocess
import sys

import psutil
import pytest
import sqlalchemy as sa

from core.config import CHECKOUT
from core.jobs import service
from core.store import run_views, runs
from tests.processes import clean_environment, is_gone, kill, wait_until

ON_SQLITE = pytest.mark.parametrize("house", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize(
    "house", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@ON_POSTGRESQL
def test_a_database_that_goes_away_costs_a_run_nothing(house, feedback):
    run_id = house.submit(feedback(epochs=500))
    house.wait_for(run_id, "epoch", 2)
    runner, worker = house.runner(), house.worker()
    url = house.store.database.engine.url
    admin = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
        log = house.store.settings.log_path(run_id)
        seen = len(log.read_text())
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": url.database},
        )
        # It has noticed, and has gone on until it has something to keep.
        wait_until(lambda: "The database does not answer" in log.read_text()[seen:])
        wait_until(lambda: " INFO batch " in log.read_text()[seen:].partition("does not answer")[2])
        connection.execute(sa.text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true"))
    admin.dispose()
    # What was gathered is delivered, and more comes.
    house.wait_for(run_id, "epoch", log.read_text().count(" INFO epoch ") + 1)
    service.ask_to_end(house.store, run_id, "stop", "ada")
    run = house.ended(run_id)
    assert run.status == "succeeded", run.error
    epochs = [payload["epoch"] for payload in house.told(run_id, "epoch")]
    assert epochs == list(range(1, len(epochs) + 1))
    assert house.told(run_id, "resumed") == []
    assert psutil.pid_exists(worker.pid)
    assert runner.pid != worker.pid


def test_a_run_whose_kept_state_is_damaged_says_so_and_learns_anew_when_retried(house, feedback):
    run_id = house.submit(feedback(epochs=500))
    house.wait_for(run_id, "epoch", 2)
    kill(house.runner(), house.worker())
    state = house.store.blobs.local_path(runs.get_row(house.store, run_id).resume_sha256)
    state.write_bytes(b"damaged" + state.read_bytes()[7:])
    run = house.ended(run_id)
    assert (run.status, run.error["code"]) == ("failed", "resume_state_damaged")
    assert f"/api/runs/{run_id}/retry?from_start=true" in " ".join(run.error["extra"]["try"])
    again = service.retry(house.store, run_id, "ada", from_start=True)
    house.wait_for(again.id, "epoch")
    service.ask_to_end(house.store, again.id, "stop", "ada")
    done = house.ended(again.id)
    assert (done.status, done.continues_id) == ("succeeded", run_id)
    assert house.told(again.id, "resumed") == []


def test_a_failed_run_goes_on_when_it_is_retried(house, feedback):
    run_id = house.submit(feedback(epochs=500))
    house.wait_for(run_id, "epoch", 3)
    # As a disk that is full would end it.
    runs.fail(house.store, run_id, {"code": "disk_full", "title": "t", "detail": "d", "extra": {}})
    kept = house.run(run_id).epochs_done
    again = service.retry(house.store, run_id, "ada").id
    assert service.retry(house.store, run_id, "ada").id == again
    house.wait_for(again, "epoch", kept + 2)
    service.ask_to_end(house.store, again, "stop", "ada")
    run = house.ended(again)
    assert run.status == "succeeded", run.error
    (resumed,) = house.told(again, "resumed")
    assert resumed["epochs_done"] >= kept >= 3
    epochs = [payload["epoch"] for payload in house.told(again, "epoch")]
    assert epochs == list(range(1, len(epochs) + 1))
    assert house.run(run_id).status == "failed"


_CALLER = """
import sys
from core import FineTuneRequest, run_finetune
run_finetune(FineTuneRequest.model_validate_json(sys.stdin.read()))
"""


@ON_SQLITE
def test_a_run_whose_python_caller_is_killed_is_taken_up_by_a_worker(house, feedback):
    caller = subprocess.Popen(
        [sys.executable, "-c", _CALLER],
        cwd=CHECKOUT,
        env={**clean_environment(), **house.store.settings.environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with caller:
        caller.stdin.write(feedback(epochs=500).model_dump_json(exclude_none=True).encode())
        caller.stdin.close()
        run = wait_until(lambda: next(iter(run_views.list_runs(house.store)), None))
        house.wait_for(run.id, "epoch", 2)
        caller.kill()
    keeper = service.Keeper(house.store)

    def taken_over():
        keeper.look()
        return len(house.told(run.id, "owner")) == 2

    wait_until(taken_over)
    house.wait_for(run.id, "resumed")
    service.ask_to_end(house.store, run.id, "stop", "ada")
    assert house.ended(run.id).status == "succeeded"


def test_a_worker_that_is_told_to_end_hands_its_run_back_and_starts_no_other(house, feedback):
    run_id = house.submit(feedback(epochs=500))
    house.wait_for(run_id, "epoch", 2)
    worker, runner = house.worker(), house.runner()
    worker.terminate()
    wait_until(lambda: is_gone(worker))
    assert is_gone(runner)
    assert house.workers() == []
    row = runs.get_row(house.store, run_id)
    assert (row.status, row.setbacks) == ("queued", 0)
    # What a door does that is open.
    service.ensure_worker(house.store)
    house.wait_for(run_id, "resumed")
    service.ask_to_end(house.store, run_id, "stop", "ada")
    assert house.ended(run_id).status == "succeeded"
    assert len(house.told(run_id, "owner")) == 2
