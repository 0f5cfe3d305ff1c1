"""Whatever is killed with `kill -9`, the run goes on from its last epoch, and each epoch counts once."""

from contextlib import suppress

import psutil
import pytest

from core.store import claims
from tests.faults.conftest import nobody_answers
from tests.processes import child_of, is_gone, kill, wait_until

EPOCHS = 12


def _epochs(house, run_id):
    return [payload["epoch"] for payload in house.told(run_id, "epoch")]


@pytest.mark.parametrize("victims", [("runner",), ("worker",), ("runner", "worker")], ids="+".join)
def test_a_run_whose_processes_are_killed_goes_on_where_it_stood(house, feedback, victims):
    run_id = house.submit(feedback(epochs=EPOCHS))
    house.wait_for(run_id, "epoch", 2)
    runner = house.runner()
    kill(*(getattr(house, victim)() for victim in victims))
    done_before = len(_epochs(house, run_id))
    run = house.ended(run_id)
    assert run.status == "succeeded", run.error
    assert _epochs(house, run_id) == list(range(1, EPOCHS + 1))
    (resumed,) = house.told(run_id, "resumed")
    assert resumed["epochs_done"] >= done_before
    statuses = [payload["status"] for payload in house.told(run_id, "status")]
    assert statuses[:4] == ["preparing", "training", "interrupted", "queued"]
    assert is_gone(runner)


def test_a_run_whose_runners_are_killed_again_and_again_fails_with_the_reason(house, feedback, httpserver):
    asked = feedback()
    killed = set()

    def it_gave_up():
        if runner := child_of(house.worker(), "core.jobs.runner"):
            with suppress(psutil.Error):
                runner.kill()
                killed.add(runner.pid)
        return house.run(run_id).status == "failed"

    # However slow this process is, no runner gets on before it is killed.
    with nobody_answers(httpserver):
        run_id = house.submit(asked)
        wait_until(it_gave_up)
    run = house.run(run_id)
    assert len(killed) == claims.MOST_SETBACKS
    assert (run.error["code"], run.error["extra"]["exit_status"]) == ("runner_died", -9)
    assert run.error["extra"]["try"]
    assert run.epochs_done == 0
    # The device and the queue are free again.
    assert house.ended(house.submit(feedback())).status == "succeeded"
