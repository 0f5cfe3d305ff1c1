"""What a preview warns of: each with its reason, and only where it applies."""

from collections.abc import Callable

import pytest

from core.jobs import service
from core.jobs.preview import preview_retrain
from core.schemas import RetrainRequest
from core.store import Store
from tests.factories import write_base_set
from tests.history import add_batch, end_run, register

Warn = Callable[..., str]


@pytest.fixture
def warned(store: Store) -> Warn:
    """What a preview says of a run by these hyperparameters."""
    write_base_set(store.settings.annotated_dataset_root)

    def warnings(**asked) -> str:
        return "\n".join(preview_retrain(store, RetrainRequest(**asked)).warnings)

    return warnings


@pytest.mark.parametrize(
    ("learning_rate", "is_unusual"), [(1e-5, False), (1e-3, False), (9e-6, True), (2e-3, True)]
)
def test_a_learning_rate_outside_the_usual(warned: Warn, learning_rate: float, is_unusual: bool):
    assert (
        "is outside the usual 1e-05 to 0.001: below, little" in warned(learning_rate=learning_rate)
    ) is is_unusual


def test_a_batch_that_an_epoch_does_not_fill(store: Store, warned: Warn):
    add_batch(store, "a", "b", "c")
    assert "does not fill" not in warned(batch_size=3)
    assert "An epoch of 3 images does not fill one batch of 4: the weights move only 5 times." in warned(
        batch_size=4, epochs=5
    )


def test_no_replay_and_more_than_there_is(warned: Warn):
    assert "what the detector knew may be forgotten" in warned(train_replay=0)
    assert "what the detector knew may be forgotten" in warned(train_replay=6, replay_strategy="none")
    assert "forgotten" not in warned(train_replay=6)
    assert "replay pool" not in warned(train_replay=6)
    assert "The replay pool holds 6 images: every epoch replays all of them, and not 7." in warned(
        train_replay=7
    )


def test_classes_with_few_boxes(store: Store, warned: Warn):
    add_batch(store, *map(str, range(9)))
    assert "fewer than 10 feedback boxes: hot joint has 9. So few" in warned()
    add_batch(store, "one more")
    assert "feedback boxes" not in warned()


def test_a_holdout_that_is_not_there_or_small(store: Store, warned: Warn):
    assert "No feedback is kept for judging yet" in warned()
    assert "proven_gain" not in warned()
    assert "once 50 samples are approved. With proven_gain it is then not published." in warned(
        promotion="proven_gain"
    )
    add_batch(store, "a", "b", is_holdout=True, group="T1")
    add_batch(store, "c", is_holdout=True, group="T2")
    assert "3 feedback images of 2 groups are kept for judging: with fewer than 30" in warned()
    for number in range(28):
        add_batch(store, f"more {number}", is_holdout=True, group=f"U{number}")
    assert "for judging" not in warned()


def test_weights_that_are_not_there_to_begin_with(store: Store, warned: Warn):
    assert "the run would fail. Set TMS_PRETRAINED_WEIGHTS." in warned()
    register(store)
    assert "would fail" not in warned()


def test_another_run_on_the_same_feedback(store: Store, warned: Warn):
    add_batch(store, "a")
    assert "has not ended" not in warned()
    run_id = service.submit_retrain(store, RetrainRequest(), source="api", actor="anna").run_id
    assert f"{run_id} learns from what was approved already and has not ended" in warned()
    end_run(store, run_id)
    assert "has not ended" not in warned()
