"""A training that was interrupted goes on as if nothing had happened."""

import pytest

from core.errors import ResumeStateDamaged, RunCancelled
from core.store import runs
from core.training.weights import load_model
from tests.training.conftest import TINY, a_courier

pytestmark = pytest.mark.slow

EPOCHS = 4


class Killed(BaseException):
    """What ends a training here, at a place where a process could die."""


@pytest.fixture
def train(bench, tmp_path):
    """Trains in a folder, and may be killed at a step; gives weights and events."""
    from core.training.engine import fine_tune

    def run(folder, *, kill_at_step=0, **changes):
        asked = TINY.model_copy(update={"epochs": EPOCHS} | changes)
        (tmp_path / folder).mkdir(exist_ok=True)
        bench.revision_for(asked).save(tmp_path / folder)
        events = []

        def hear(kind, payload):
            events.append((kind, payload))
            if kind == "batch" and payload["step"] == kill_at_step:
                raise Killed

        with a_courier(bench.settings, hear) as courier:
            # Every batch is told, so that a test may end at any.
            courier._last_told_s = _NeverTold()
            learned = fine_tune(
                asked,
                parent=bench.weights,
                dataset_folder=tmp_path / folder,
                run_folder=tmp_path / folder,
                device="cpu",
                courier=courier,
            )
        return learned.weights, events

    return run


class _NeverTold(dict):
    def get(self, topic, default=None):
        return float("-inf")


def _killed(train, folder, step, **changes):
    with pytest.raises(Killed):
        train(folder, kill_at_step=step, **changes)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "SGD", "freeze": 10}], ids=["AdamW", "SGD, frozen"])
def test_interrupted_or_not_the_weights_are_the_same_bit_by_bit(train, changes):
    whole, events = train("whole", **changes)
    steps_per_epoch = next(p["steps"] for kind, p in events if kind == "batch") // EPOCHS
    # In the first epoch, where nothing is kept yet; in the middle of a later one; at the end of one.
    for step in (1, steps_per_epoch + 1, 3 * steps_per_epoch):
        _killed(train, "interrupted", step, **changes)
    resumed, _ = train("interrupted", **changes)
    before, after = load_model(whole).state_dict(), load_model(resumed).state_dict()
    assert all(value.equal(after[name]) for name, value in before.items())


def test_the_count_of_epochs_and_steps_is_unbroken_and_at_most_one_epoch_is_repeated(train):
    _, events = train("whole")
    steps_per_epoch = next(p["steps"] for kind, p in events if kind == "batch") // EPOCHS
    _killed(train, "interrupted", 2 * steps_per_epoch + 1)
    _, rest = train("interrupted")
    assert rest[0] == ("resumed", {"epochs_done": 2, "step": 2 * steps_per_epoch})
    steps = [payload["step"] for kind, payload in rest if kind == "batch"]
    assert steps == list(range(2 * steps_per_epoch + 1, EPOCHS * steps_per_epoch + 1))
    assert [payload["epoch"] for kind, payload in rest if kind == "epoch"] == [3, 4]
    learning_rates = [payload["learning_rate"] for kind, payload in events if kind == "batch"]
    assert [p["learning_rate"] for kind, p in rest if kind == "batch"] == learning_rates[
        2 * steps_per_epoch :
    ]


def test_a_training_that_had_finished_is_not_repeated(train):
    first, _ = train("run")
    again, events = train("run")
    assert events == []
    assert all(v.equal(load_model(again).state_dict()[n]) for n, v in load_model(first).state_dict().items())


def test_a_time_budget_counts_what_was_trained_before(train):
    _killed(train, "run", 10)
    _, events = train("run", epochs=500, time_budget_s=1e-6)
    assert len([kind for kind, _ in events if kind == "batch"]) <= 1


def test_the_best_epoch_is_kept_over_an_interruption(train, tmp_path):
    from core.training import state

    _killed(train, "run", 10)
    kept = state.load(tmp_path / "run" / "resume.pt")
    weights, rest = train("run", time_budget_s=1e-6)
    last = state.load(tmp_path / "run" / "resume.pt")
    assert last["best_fitness"] >= kept["best_fitness"]
    better = [payload["epoch"] for kind, payload in rest if kind == "epoch" and payload["is_best"]]
    assert last["best_epoch"] == (better or [kept["best_epoch"]])[-1]
    assert all(v.equal(last["best"][n]) for n, v in load_model(weights).state_dict().items())


def test_a_damaged_state_is_named_and_left_where_it_is(train, tmp_path):
    _killed(train, "run", 10)
    path = tmp_path / "run" / "resume.pt"
    path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(ResumeStateDamaged, match=r"resume\.pt"):
        train("run")
    assert path.exists()


def test_a_state_runs_no_code(tmp_path, bench):
    import torch

    from core.training import state

    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"model": Attack()}, tmp_path / "resume.pt")
    with pytest.raises(ResumeStateDamaged):
        state.load(tmp_path / "resume.pt")
    assert not (tmp_path / "ran").exists()


def _told_to(bench, tmp_path, wish, at_step):
    from core.training.engine import fine_tune

    asked = TINY.model_copy(update={"epochs": 100})
    bench.revision_for(asked).save(tmp_path)
    events = []

    def hear(kind, payload):
        events.append((kind, payload))
        if kind == "batch" and payload["step"] == at_step:
            runs.ask_to_end(courier.store, courier.run_id, wish, "ada")
            courier._exchange() if wish == "stop" else courier._carry_once()

    with a_courier(bench.settings, hear) as courier:
        courier._last_told_s = _NeverTold()
        courier.enter("training")
        learned = fine_tune(
            asked,
            parent=bench.weights,
            dataset_folder=tmp_path,
            run_folder=tmp_path,
            device="cpu",
            courier=courier,
        )
    return learned.weights, events


def test_a_stop_ends_with_the_batch_and_keeps_what_was_learned(bench, tmp_path):
    weights, events = _told_to(bench, tmp_path, "stop", at_step=2)
    assert [payload["step"] for kind, payload in events if kind == "batch"] == [1, 2]
    assert [payload["epoch"] for kind, payload in events if kind == "epoch"] == [1]
    before = load_model(bench.weights).state_dict()
    assert any(not value.equal(before[name]) for name, value in load_model(weights).state_dict().items())


def test_a_cancellation_ends_training_at_the_next_batch(bench, tmp_path):
    with pytest.raises(RunCancelled):
        _told_to(bench, tmp_path, "cancel", at_step=2)
