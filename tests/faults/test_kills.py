"""Whatever is killed with `kill -9`, the run goes on from its last epoch, and each epoch counts once."""

import pytest

from tests.faults.conftest import is_gone, kill

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
