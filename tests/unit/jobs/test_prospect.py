"""What the next run would be made of: exactly what it then is, and a look at it in proportion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import trainer
from core.dataset import pins
from core.dataset.base_set import BaseSet
from core.dataset.images import ImageSet
from core.jobs import service
from core.jobs.preview import preview_retrain
from core.jobs.prospect import Prospect, base_set, glimpse, prospect
from core.schemas import Hyperparameters, RetrainRequest
from core.store import Store, runs
from tests.factories import write_base_set
from tests.history import BASE, add_batch, fine_tuned
from tests.unit.dataset.factories import labelled


def made_of(feedback_count: int, base_count: int) -> Prospect:
    train = ImageSet(name="train", images=tuple(labelled(f"base {n}", n % 3) for n in range(base_count)))
    base = BaseSet(BASE.class_names, train, BASE.tune, BASE.test)
    new = tuple(labelled(f"new {n}", 0) for n in range(feedback_count))
    return Prospect(base, new, (), (), frozenset())


@pytest.mark.parametrize("strategy", ["stream", "balanced", "random", "none"])
def test_the_first_epoch_is_the_one_that_the_run_then_freezes(store: Store, strategy: str):
    write_base_set(store.settings.annotated_dataset_root)
    add_batch(store, "a", "b")
    fine_tuned(store)
    add_batch(store, "c", "d", "e")
    add_batch(store, "f", is_holdout=True)
    base = base_set(store)
    pins.pin(store, base.train.images[0].sha256, actor="anna")
    asked = RetrainRequest(train_replay=4, epochs=3, seed=7, replay_strategy=strategy)
    run_id = service.submit_retrain(store, asked, source="api", actor="anna").run_id
    frozen = trainer._compose(store, runs.get_row(store, run_id), base)
    seen = prospect(store, base).first_epoch(asked.hyperparameters)
    assert seen.replay_plan == frozen.replay_plan[:1]
    assert [one.identity() for one in seen.train_images] == [one.identity() for one in frozen.train_images]
    assert seen.holdout.digest == frozen.holdout.digest


def test_pinned_images_are_counted_although_no_replay_is_asked_for(store: Store):
    write_base_set(store.settings.annotated_dataset_root)
    add_batch(store, "a")
    pins.pin(store, base_set(store).train.images[0].sha256, actor="anna")
    seen = preview_retrain(store, RetrainRequest(train_replay=0))
    assert (seen.replay_samples, seen.dataset_size) == (1, 2)


@given(
    feedback_count=st.integers(0, 40),
    base_count=st.integers(1, 40),
    asked=st.integers(0, 60),
    seed=st.integers(0, 99),
    most=st.integers(2, 16),
)
def test_a_look_shows_each_kind_in_proportion_and_nothing_that_is_not_in_the_epoch(
    feedback_count: int, base_count: int, asked: int, seed: int, most: int
):
    parts = made_of(feedback_count, base_count)
    epoch = parts.first_epoch(Hyperparameters(train_replay=asked, seed=seed))
    shown = glimpse(epoch, most)
    in_epoch = {epoch.train_images[position].sha256 for position in epoch.epoch_positions()[0]}
    digests = [image.sha256 for _, image in shown]
    assert set(digests) <= in_epoch
    assert len(digests) == len(set(digests)) == min(most, len(in_epoch))
    roles = [role for role, _ in shown]
    for role, count in (("feedback", feedback_count), ("replay", epoch.replay_per_epoch)):
        assert (roles.count(role) > 0) == (count > 0)
        exact = len(shown) * count / max(1, len(in_epoch))
        assert abs(roles.count(role) - exact) <= 1
    assert roles == sorted(roles)


def test_what_is_shown_stays_when_more_is_replayed_and_changes_with_the_seed():
    parts = made_of(20, 40)

    def shown(**changes) -> set[str]:
        asked = Hyperparameters(**{"train_replay": 20, "seed": 1} | changes)
        return {image.sha256 for role, image in glimpse(parts.first_epoch(asked), 12) if role == "feedback"}

    assert shown(train_replay=40) <= shown()
    assert shown(seed=2) != shown()
