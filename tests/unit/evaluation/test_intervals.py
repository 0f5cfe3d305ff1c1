import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.evaluation.intervals import _student_t, change_of, holm


@pytest.mark.parametrize("degrees", [5, 6, 9, 29, 199])
@pytest.mark.parametrize("tail", [0.025, 0.05])
def test_students_t_is_that_of_the_tables(degrees, tail):
    assert _student_t(tail, degrees) == pytest.approx(stats.t.ppf(1 - tail, degrees), abs=0.01)


def test_many_groups_give_the_plain_percentile_interval():
    deltas = np.linspace(-1, 1, 2001)
    change = change_of(0.4, 0.4, deltas, 100_000)
    assert (change.low_95, change.high_95) == pytest.approx((-0.95, 0.95), abs=1e-3)
    assert (change.low_90, change.high_90) == pytest.approx((-0.90, 0.90), abs=1e-3)


@given(st.integers(2, 500))
def test_fewer_groups_give_a_wider_interval(groups):
    deltas = np.random.default_rng(0).normal(0, 1, 1000)
    few, many = change_of(0, 0, deltas, groups), change_of(0, 0, deltas, groups + 1)
    assert few.low_95 <= many.low_95 <= many.low_90 <= many.high_90 <= many.high_95 <= few.high_95


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        sample = random.normal(0, 1, 8)
        deltas = random.choice(sample, (1000, 8)).mean(axis=1)
        change = change_of(0, sample.mean(), deltas, 8)
        covered += change.low_95 <= 0 <= change.high_95
    assert covered / 400 == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("deltas", "groups", "new"),
    [
        (np.array([0.1] * 10), 1, 0.5),
        (np.array([0.1] * 5 + [np.nan] * 5), 30, 0.5),
        (np.array([0.1] * 10), 30, np.nan),
    ],
)
def test_where_too_little_is_known_there_is_no_interval(deltas, groups, new):
    change = change_of(0.4, new, deltas, groups)
    assert (change.low_95, change.high_95, change.low_90, change.high_90, change.p_value) == (None,) * 5


@pytest.mark.parametrize(
    ("deltas", "p_value"),
    [([0.0] * 999, 1.0), ([0.1] * 999, 2 / 1000), ([-0.1] * 99 + [0.1] * 900, 200 / 1000)],
)
def test_p_value(deltas, p_value):
    assert change_of(0, 0, np.array(deltas), 50).p_value == pytest.approx(p_value)


def test_holm_as_in_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.04]) == [None, 0.04]
    assert holm([]) == []


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=9))
def test_holm_only_raises_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    assert all(p <= c <= min(1, len(p_values) * p) for p, c in zip(p_values, corrected, strict=True))
    assert sorted(corrected) == [c for _, c in sorted(zip(p_values, corrected, strict=True))]
