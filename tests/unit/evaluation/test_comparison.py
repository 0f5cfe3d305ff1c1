import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DifferentSets
from core.evaluation.comparison import compare
from tests.unit.evaluation.factories import CLASS_NAMES, make_detections, make_truth, oracle, random_set


def _compare(truth, old, new, **more):
    return compare(truth, old, new, class_names=CLASS_NAMES, confidence=0.25, **{"resamples": 200} | more)


def test_a_model_against_itself_changes_nothing():
    truth, seen = random_set(1, image_count=30)
    compared = _compare(truth, seen, seen)
    for change in (compared.overall.ap50_95, compared.overall.recall, compared.per_class[0].ap50):
        assert (change.delta, change.low_95, change.high_95, change.p_value) == (0, 0, 0, 1)
    assert {row.p_holm for row in compared.per_class} == {1}


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_both_figures_are_cocos_and_the_change_turns_its_sign_when_the_two_are_swapped(seed):
    truth, old = random_set(seed)
    _, new = random_set(seed + 1)
    there, back = _compare(truth, old, new, resamples=50), _compare(truth, new, old, resamples=50)
    change, turned = there.overall.ap50_95, back.overall.ap50_95
    assert change.old == pytest.approx(np.nanmean(oracle(truth, old)), abs=1e-6)
    assert change.new == pytest.approx(np.nanmean(oracle(truth, new)), abs=1e-6)
    assert (turned.delta, turned.high_95) == pytest.approx((-change.delta, -change.low_95), abs=1e-6)
    assert turned.p_value == pytest.approx(change.p_value)


def test_a_loss_in_every_image_is_seen_whatever_is_drawn():
    box, loose = (100, 100, 200, 200), (100, 100, 200, 260)
    truth = make_truth([[(box, 0)]] * 20)
    old, new = make_detections([[(box, 0, 0.9)]] * 20), make_detections([[(loose, 0, 0.9)]] * 20)
    change = _compare(truth, old, new).overall.ap50_95
    assert (change.old, change.new) == pytest.approx((1.0, 0.3))
    assert (change.low_95, change.high_95) == pytest.approx((-0.7, -0.7))


def test_images_of_one_group_count_as_one_piece_of_evidence():
    truth, old = random_set(3, image_count=40)
    _, new = random_set(3, image_count=40)
    _, other = random_set(4, image_count=40)
    mixed = make_detections(
        [
            [
                (seen.xyxy[row], seen.class_id[row], seen.confidence[row])
                for row in np.flatnonzero(seen.image == n)
            ]
            for n, seen in enumerate([new] * 20 + [other] * 20)
        ]
    )
    boxes = [
        [(truth.xyxy[row], truth.class_id[row]) for row in np.flatnonzero(truth.image == n)]
        for n in range(40)
    ]
    grouped = make_truth(boxes, groups=[n // 10 for n in range(40)])
    alone, together = _compare(truth, old, mixed), _compare(grouped, old, mixed)
    assert (alone.group_count, together.group_count) == (40, 4)
    assert alone.overall.ap50_95.delta == together.overall.ap50_95.delta
    width = [one.overall.ap50_95.high_95 - one.overall.ap50_95.low_95 for one in (alone, together)]
    assert width[1] > width[0]


def test_only_classes_with_a_box_are_listed_with_their_counts():
    truth = make_truth([[((0, 0, 50, 50), 2)] * 2, [((0, 0, 50, 50), 2)], []])
    nothing = make_detections([[], [], []])
    (row,) = _compare(truth, nothing, nothing).per_class
    assert (row.class_id, row.class_name, row.box_count, row.image_count) == (2, "overload", 3, 2)


def test_a_set_without_a_box_has_no_figures():
    truth, nothing = make_truth([[], []]), make_detections([[], []])
    compared = _compare(truth, nothing, nothing)
    assert compared.per_class == ()
    assert (compared.overall.ap50_95.delta, compared.overall.ap50_95.low_95) == (None, None)


def test_the_same_seed_gives_the_same_intervals():
    truth, old = random_set(7)
    _, new = random_set(8)
    assert _compare(truth, old, new) == _compare(truth, old, new)


def test_different_sets_are_never_compared():
    truth, seen = random_set(1)
    with pytest.raises(DifferentSets, match="different image sets"):
        _compare(truth, seen, make_detections([[]] * truth.image_count, digest="other"))


def test_a_loss_is_told_apart_from_chance_however_many_classes_there_are():
    box, names = (100, 100, 200, 200), [f"class {n}" for n in range(60)]
    truth = make_truth([[(box, n)] for n in range(60)] * 4)
    old = make_detections([[(box, n, 0.9)] for n in range(60)] * 4)
    new = make_detections([[(box, n, 0.9)] if n else [] for n in range(60)] * 4)
    compared = compare(truth, old, new, class_names=names, confidence=0.25)
    assert compared.resamples == 3_000
    assert [row.class_id for row in compared.per_class if (row.p_holm or 1) < 0.05] == [0]
