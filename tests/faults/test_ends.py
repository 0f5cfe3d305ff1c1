"""Stop and keep best, cancel and discard: in every state, with real processes."""

import psutil
import pytest

from core.errors import RunEnded
from core.jobs import service
from core.registry import checkpoints, publish
from core.store.tables import Checkpoint
from tests.faults.conftest import nobody_answers
from tests.processes import is_gone, wait_until


def _nothing_is_left(house, run_id):
    settings = house.store.settings
    assert not settings.run_folder(run_id).exists()
    assert checkpoints.made_by(house.store, run_id) == []
    blobs = [path for path in (settings.data_dir / "blobs").rglob("*") if path.is_file()]
    # Images of the feedback, and the weights of the baseline: no state, no candidate.
    large = {path.name for path in blobs if path.stat().st_size >= 1_000_000}
    assert large <= {_baseline(house).sha256}


def _baseline(house) -> Checkpoint:
    champion = publish.champion(house.store)
    assert champion is not None
    return champion


def test_a_run_that_is_cancelled_in_training_leaves_only_its_record(house, feedback):
    run_id = house.submit(feedback(epochs=500))
    house.wait_for(run_id, "epoch", 2)
    runner = house.runner()
    family = [runner, *runner.children(recursive=True)]
    for _ in range(2):
        service.ask_to_end(house.store, run_id, "cancel", "ada")
    cancelled = house.ended(run_id)
    assert (cancelled.status, cancelled.wanted, cancelled.error) == ("cancelled", "cancel", None)
    # The device is free before it is shown: nothing that trained is alive.
    assert all(map(is_gone, family))
    _nothing_is_left(house, run_id)
    # Asking once more changes nothing; the next run works.
    assert service.ask_to_end(house.store, run_id, "cancel", "ada").status == "cancelled"
    assert house.ended(house.submit(feedback())).status == "succeeded"


def test_a_cancellation_takes_effect_within_two_batches(house, feedback):
    run_id = house.submit(feedback(epochs=500))
    house.wait_for(run_id, "epoch", 1)
    service.ask_to_end(house.store, run_id, "cancel", "ada")
    house.ended(run_id)
    told = house.told(run_id, "wanted", "batch")
    behind = told[[("wanted" in payload) for payload in told].index(True) + 1 :]
    assert len(behind) <= 2


def test_a_run_that_is_cancelled_while_its_images_are_fetched_does_not_wait_for_them(
    house, feedback, httpserver
):
    asked = feedback()
    with nobody_answers(httpserver):
        run_id = house.submit(asked)
        house.wait_for(run_id, "phase")
        service.ask_to_end(house.store, run_id, "cancel", "ada")
        assert house.ended(run_id).status == "cancelled"


def test_a_run_that_is_cancelled_while_it_is_judged_publishes_nothing(house, feedback):
    run_id = house.submit(feedback(epochs=1))
    wait_until(lambda: house.run(run_id).status == "evaluating")
    service.ask_to_end(house.store, run_id, "cancel", "ada")
    assert house.ended(run_id).status == "cancelled"
    assert _baseline(house).run_id is None
    _nothing_is_left(house, run_id)


def test_a_run_that_is_stopped_in_training_is_judged_on_its_best(house, feedback):
    run_id = house.submit(feedback(epochs=500))
    house.wait_for(run_id, "epoch", 2)
    for _ in range(2):
        service.ask_to_end(house.store, run_id, "stop", "ada")
    run = house.ended(run_id)
    assert run.status == "succeeded", run.error
    assert run.summary.metrics
    assert 2 <= len(house.told(run_id, "epoch")) < 500
    # Once more, it has been done.
    assert service.ask_to_end(house.store, run_id, "stop", "ada").status == "succeeded"
    with pytest.raises(RunEnded):
        service.ask_to_end(house.store, run_id, "cancel", "ada")


@pytest.mark.parametrize("wish", ["stop", "cancel"])
def test_a_run_behind_another_ends_without_having_begun(house, feedback, wish):
    first = house.submit(feedback(epochs=500))
    second = house.submit(feedback())
    house.wait_for(first, "batch")
    assert house.run(second).queue_position == 0
    assert service.ask_to_end(house.store, second, wish, "ada").status == "cancelled"
    assert house.run(second).started_at is None
    service.ask_to_end(house.store, first, "cancel", "ada")
    assert house.ended(first).status == "cancelled"


def test_a_hung_runner_is_ended_when_its_run_is_cancelled(house, feedback):
    run_id = house.submit(feedback(epochs=500))
    house.wait_for(run_id, "batch")
    runner = house.runner()
    runner.suspend()
    service.ask_to_end(house.store, run_id, "cancel", "ada")
    assert house.ended(run_id).status == "cancelled"
    assert is_gone(runner)
    assert isinstance(runner, psutil.Process)
