from collections import Counter

import pytest

PLAN = [[0, 1, 2, 3, 4], [0, 1, 5, 6, 7]]


@pytest.fixture
def make_sampler(bench):
    from core.training.data import EpochSampler

    return EpochSampler


def test_each_epoch_gives_its_positions_in_an_order_of_its_own(make_sampler):
    sampler = make_sampler(PLAN, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert [sorted(order) for order in orders] == [PLAN[0], PLAN[1], PLAN[0]]
    assert orders[0] == orders[2]
    assert len(sampler) == 5


def test_several_processes_share_an_epoch_evenly(make_sampler):
    shares = [make_sampler(PLAN, 3, rank, 2) for rank in range(2)]
    drawn = [list(share) for share in shares]
    assert [len(share) for share in shares] == [len(positions) for positions in drawn] == [3, 3]
    assert set(Counter(drawn[0] + drawn[1])) == set(PLAN[0])
