from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dataset.replay import plan_replay
from tests.unit.dataset.factories import labelled

POOL = [labelled(f"common {n}", 1) for n in range(30)] + [labelled("rare", 0), labelled("empty")]


def _plan(strategy, per_epoch=8, epochs=4, seed=1, pool=POOL, pinned=()):
    return plan_replay(pool, strategy=strategy, per_epoch=per_epoch, epochs=epochs, seed=seed, pinned=pinned)


def test_stream_goes_through_the_whole_pool_before_it_repeats():
    plan = _plan("stream", per_epoch=8, epochs=8)
    seen = [position for epoch in plan for position in epoch]
    assert Counter(seen[:32]) == Counter(range(32))
    assert Counter(seen) == Counter(dict.fromkeys(range(32), 2))


def test_random_draws_once():
    plan = _plan("random")
    assert all(epoch == plan[0] for epoch in plan)
    assert len(set(plan[0])) == 8


def test_balanced_prefers_rare_classes():
    rare = 30
    drawn = Counter(position for epoch in _plan("balanced", epochs=200) for position in epoch)
    assert drawn[rare] > 2 * max(drawn[position] for position in range(30))


def test_none_takes_nothing():
    assert _plan("none") == [[]] * 4


@given(
    strategy=st.sampled_from(["stream", "balanced", "random", "none"]),
    per_epoch=st.integers(0, 50),
    epochs=st.integers(1, 6),
    seed=st.integers(0, 2**31 - 1),
    order=st.permutations(range(len(POOL))),
)
def test_a_plan_is_made_of_the_pool_and_depends_on_contents_alone(strategy, per_epoch, epochs, seed, order):
    plan = _plan(strategy, per_epoch, epochs, seed)
    assert len(plan) == epochs
    expected = 0 if strategy == "none" else min(per_epoch, len(POOL))
    assert all(len(epoch) == len(set(epoch)) == expected or strategy == "stream" for epoch in plan)
    turned = [POOL[position] for position in order]
    turned_plan = _plan(strategy, per_epoch, epochs, seed, turned)
    assert [[turned[p].sha256 for p in epoch] for epoch in turned_plan] == [
        [POOL[p].sha256 for p in epoch] for epoch in plan
    ]


@pytest.mark.parametrize("strategy", ["stream", "balanced", "random"])
def test_an_empty_pool_gives_empty_epochs(strategy):
    assert _plan(strategy, pool=[]) == [[]] * 4


@pytest.mark.parametrize("strategy", ["stream", "balanced", "random"])
@pytest.mark.parametrize("per_epoch", [0, 1, 8, 100])
def test_pinned_images_are_in_every_epoch_and_the_rest_is_filled_up(strategy, per_epoch):
    plan = _plan(strategy, per_epoch, pinned={POOL[3].sha256, POOL[30].sha256, "not in the pool"})
    for epoch in plan:
        assert {3, 30} <= set(epoch)
        assert len(epoch) == len(set(epoch)) == min(max(2, per_epoch), len(POOL)) or strategy == "stream"
    if per_epoch == 8 and strategy == "stream":
        others = [position for epoch in plan for position in epoch if position not in (3, 30)]
        assert len(set(others)) == len(others) == 24


def test_none_takes_not_even_what_is_pinned():
    assert _plan("none", pinned={POOL[0].sha256}) == [[]] * 4
