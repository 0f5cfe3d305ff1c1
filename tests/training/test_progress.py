"""Reports: thinned, written to the store, and able to travel to the processes of a multi-GPU run."""

import pytest

from core.store import runs
from core.trainer import accept
from core.training.progress import DetachedReport, reporter
from tests.factories import image, request


@pytest.fixture
def run_id(store):
    with store.database.write() as session:
        return accept(session, request(image("http://x/1.png")), source="test", actor="test").id


def _batch(step, steps=1_000):
    return {"epoch": 1, "epochs": 1, "step": step, "steps": steps}


def test_steps_are_thinned_and_the_last_one_goes_through(store, run_id):
    heard = []
    report = reporter(store, run_id, lambda kind, payload: heard.append((kind, payload)))
    for step in range(1, 1_001):
        report("batch", _batch(step))
    report("epoch", {"epoch": 1})
    told = [event.payload["step"] for event in runs.events_after(store, run_id, kinds=("batch",))]
    assert told[0] == 1
    assert told[-1] == 1_000
    assert len(told) < 500
    assert [kind for kind, _ in heard] == ["batch"] * len(told) + ["epoch"]


def test_each_phase_is_told_when_it_begins_and_ends(store, run_id):
    report = reporter(store, run_id)
    for phase in ("one", "two"):
        for done in range(6):
            report("phase", {"phase": phase, "done": done, "total": 5})
    told = [(e.payload["phase"], e.payload["done"]) for e in runs.events_after(store, run_id)]
    assert told == [("one", 0), ("one", 5), ("two", 0), ("two", 5)]


@pytest.mark.slow
def test_what_a_multi_gpu_run_hands_to_its_processes_arrives_there(bench, store, run_id):
    import cloudpickle

    from core.training.engine import FineTuner, Progress

    progress = Progress(DetachedReport(store.settings, run_id), time_budget_s=None)
    trainer_class, callback = cloudpickle.loads(cloudpickle.dumps((FineTuner, progress._epoch)))
    assert trainer_class is FineTuner

    class AtEndOfEpoch:
        epoch, epochs, fitness, best_fitness = 0, 2, 0.5, 0.5
        metrics, tloss = {"metrics/mAP50(B)": 0.7}, {"box_loss": 1.0}

        class optimizer:  # noqa: N801 - the name Ultralytics' trainer has
            param_groups = ({"lr": 0.1},)

    callback(AtEndOfEpoch())
    (event,) = runs.events_after(store, run_id)
    assert event.payload["metrics"] == {"metrics/mAP50(B)": 0.7, "fitness": 0.5}
    assert event.payload["is_best"]
