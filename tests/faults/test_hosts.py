"""Two hosts: one dies or falls silent, the other goes on, and never both at once."""

import pytest

from core.jobs import service
from core.registry import publish
from core.store import runs
from tests.faults.conftest import runner_of, start_worker
from tests.processes import is_gone, kill, wait_until

pytestmark = pytest.mark.postgres

EPOCHS = 400


def _fences(house, run_id):
    return [event.fence for event in runs.events_after(house.store, run_id)]


def test_a_host_that_falls_silent_loses_its_run_and_stops_when_it_comes_back(hosts, feedback):
    alpha, beta = hosts
    silent = start_worker(alpha)
    run_id = service.submit(alpha.store, feedback(epochs=EPOCHS), source="api", actor="ada").run_id
    alpha.wait_for(run_id, "epoch", 2)
    runner = runner_of(silent)
    other = start_worker(beta)
    # What a host does that swaps, or hangs, or has lost its network.
    for process in (silent, runner):
        process.suspend()
    done_before = alpha.run(run_id).epochs_done
    wait_until(lambda: len(alpha.told(run_id, "owner")) == 2)
    alpha.wait_for(run_id, "resumed")
    assert alpha.told(run_id, "resumed")[0]["epochs_done"] >= done_before
    for process in (silent, runner):
        process.resume()
    wait_until(lambda: is_gone(runner))
    assert not is_gone(silent)
    service.ask_to_end(alpha.store, run_id, "stop", "ada")
    run = alpha.ended(run_id)
    assert run.status == "succeeded", run.error
    fences = _fences(alpha, run_id)
    assert fences == sorted(fences)
    epochs = [payload["epoch"] for payload in alpha.told(run_id, "epoch")]
    assert epochs == list(range(1, len(epochs) + 1))
    # Beta published; alpha's own files follow.
    champion = publish.champion(alpha.store)
    assert champion.run_id == run_id
    for house in hosts:
        publish.follow(house.store)
        assert publish.published_path(house.store).is_file()
    assert publish.published_path(alpha.store).read_bytes() == publish.published_path(beta.store).read_bytes()
    # Who came back works again.
    kill(other)
    again = service.submit(alpha.store, feedback(), source="api", actor="ada").run_id
    assert alpha.ended(again).status == "succeeded"


def test_two_hosts_share_the_queue(hosts, feedback):
    alpha, beta = hosts
    workers = [start_worker(house) for house in hosts]
    ids = [
        service.submit(alpha.store, feedback(epochs=3), source="api", actor="ada").run_id for _ in range(4)
    ]
    assert [alpha.ended(run_id).status for run_id in ids] == ["succeeded"] * 4
    owners = [alpha.told(run_id, "owner") for run_id in ids]
    assert all(len(owner) == 1 for owner in owners)
    assert not any(map(is_gone, workers))
    # Each of them worked: their ids begin with the place they work at.
    assert len({owner[0]["owner"].rpartition(":")[0] for owner in owners}) == 2
    assert beta.run(ids[0]).summary is not None
