import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DifferentSets
from core.evaluation.image_changes import image_changes, pairwise_iou
from tests.unit.evaluation.factories import make_detections, make_truth, random_set

BOX, ELSEWHERE = (100, 100, 200, 200), (400, 400, 500, 500)
WORSE = (100, 100, 200, 230)  # IoU 0.77
LOOSE = (100, 100, 200, 330)  # IoU 0.43
GOOD, TURNED = (BOX, 0, 0.9), (BOX, 1, 0.9)


def _changes(truth, old, new, weights=None, confidence=0.25):
    return image_changes(truth, old, new, confidence=confidence, class_weights=weights or {})


def _only(old, new, weights=None, boxes=((BOX, 0),)):
    changed = _changes(make_truth([boxes]), make_detections([old]), make_detections([new]), weights)
    return [(one.kind, round(one.harm, 6)) for image in changed for one in image.differences]


@pytest.mark.parametrize(
    ("old", "new", "kind", "harm"),
    [
        ([GOOD], [], "lost", 1.0),
        ([GOOD], [TURNED], "class_wrong", 0.75),
        ([GOOD], [(LOOSE, 0, 0.9)], "worse_box", 0.5),
        ([GOOD], [(WORSE, 0, 0.9)], "worse_box", 0.25 * (1 - 1 / 1.3)),
        ([(LOOSE, 0, 0.9)], [], "lost", 0.5),
        ([(LOOSE, 0, 0.9)], [TURNED], "class_wrong", 0.25),
        ([TURNED], [], "lost", 0.25),
        ([GOOD], [(BOX, 0, 0.2)], "lost", 1.0),
    ],
)
def test_what_becomes_of_a_box_and_the_same_backwards(old, new, kind, harm):
    backwards = {"lost": "found", "class_wrong": "class_right", "worse_box": "better_box"}[kind]
    assert _only(old, new) == [(kind, pytest.approx(harm, abs=1e-4))]
    assert _only(new, old) == [(backwards, pytest.approx(-harm, abs=1e-4))]


def test_false_alarms_that_come_go_and_stay():
    alarm = (ELSEWHERE, 2, 0.6)
    assert _only([GOOD], [GOOD, alarm]) == [("false_alarm", 0.5)]
    assert _only([GOOD, alarm], [GOOD]) == [("alarm_gone", -0.5)]
    moved = ((405, 400, 505, 500), 2, 0.3)
    assert _only([GOOD, alarm], [GOOD, moved]) == []
    assert _only([GOOD, alarm], [GOOD, (ELSEWHERE, 1, 0.6)]) == [("false_alarm", 0.5), ("alarm_gone", -0.5)]


def test_a_second_claim_on_the_same_box_is_a_false_alarm():
    assert _only([GOOD], [GOOD, (BOX, 0, 0.5)]) == [("false_alarm", 0.5)]


def test_a_small_move_of_a_box_is_nothing():
    assert _only([GOOD], [((100, 100, 200, 205), 0, 0.9)]) == []


def test_classes_weigh_as_configured_and_the_worst_image_comes_first():
    truth = make_truth([[(BOX, 1)], [(BOX, 0)], [(BOX, 0)]])
    old = make_detections([[(BOX, 1, 0.9)], [GOOD], []])
    new = make_detections([[], [], [GOOD]])
    changed = _changes(truth, old, new, {0: 3.0, 1: 0.2})
    assert [(one.image, one.harm, one.gain) for one in changed] == [(1, 3.0, 0), (0, 0.2, 0), (2, 0, 3.0)]
    assert changed[0].sha256 == truth.sha256[1]


def test_a_claim_meets_the_box_of_its_class_before_one_of_another():
    boxes = ((BOX, 1), ((105, 100, 205, 200), 0))
    assert _only([], [GOOD], boxes=boxes) == [("found", pytest.approx(-0.975, abs=0.01))]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31))
def test_backwards_harm_and_gain_change_places(seed):
    truth, old = random_set(seed)
    _, new = random_set(seed + 1)
    there = {one.image: one for one in _changes(truth, old, new)}
    back = {one.image: one for one in _changes(truth, new, old)}
    assert there.keys() == back.keys()
    for image, one in there.items():
        assert (one.harm, one.gain) == pytest.approx((back[image].gain, back[image].harm))
        assert [d.harm for d in one.differences] == sorted((d.harm for d in one.differences), reverse=True)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31))
def test_lost_boxes_are_boxes_that_the_old_weights_claimed(seed):
    truth, old = random_set(seed)
    nothing = make_detections([[]] * truth.image_count)
    lost = [d for one in _changes(truth, old, nothing) for d in one.differences if d.kind == "lost"]
    assert all(one.old is not None and one.old.confidence >= 0.25 and one.new is None for one in lost)
    assert _changes(truth, old, old) == ()


def test_iou():
    iou = pairwise_iou(np.array([(0, 0, 2, 2), (0, 0, 0, 0)], float), np.array([(1, 1, 3, 3)], float))
    np.testing.assert_allclose(iou, [[1 / 7], [0]])


def test_different_sets_are_never_compared():
    truth, seen = random_set(1)
    with pytest.raises(DifferentSets):
        _changes(truth, seen, make_detections([[]] * truth.image_count, digest="other"))
