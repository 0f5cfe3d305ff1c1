import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.evaluation.bootstrap import draw, tally
from core.evaluation.coco import match
from tests.unit.evaluation.factories import (
    CLASS_NAMES,
    make_detections,
    make_truth,
    oracle,
    random_set,
    repeated,
)

BOX = (100, 100, 200, 200)


def _tally(truth, detections, weights, confidence=0.25):
    return tally(match(truth, detections, CLASS_NAMES), np.asarray(weights, float), confidence)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), is_tied=st.booleans())
def test_every_image_once_is_what_coco_says(seed, is_tied):
    truth, detections = random_set(seed, is_tied=is_tied)
    expected = oracle(truth, detections)
    counted = _tally(truth, detections, np.ones((1, truth.image_count)))
    np.testing.assert_allclose(counted.ap50_95[0], expected.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(counted.ap50[0], expected[0], atol=1e-6)
    np.testing.assert_allclose(counted.overall()["ap50_95"], np.nanmean(expected), atol=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_a_resample_is_what_coco_says_of_the_repeated_images(seed):
    truth, detections = random_set(seed)
    weights = draw(truth.groups, 3, seed)
    counted = _tally(truth, detections, weights)
    for row, times in enumerate(weights.astype(int)):
        expected = oracle(*repeated(truth, detections, times))
        np.testing.assert_allclose(counted.ap50_95[row], expected.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(counted.ap50[row], expected[0], atol=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_claims_and_hits_of_a_resample_are_those_of_the_repeated_images(seed):
    truth, detections = random_set(seed)
    (times,) = draw(truth.groups, 1, seed)
    weighted = _tally(truth, detections, times[None])
    literal_truth, literal = repeated(truth, detections, times.astype(int))
    once = _tally(literal_truth, literal, np.ones((1, literal_truth.image_count)))
    for name in ("boxes", "claims", "hits"):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(once, name))


def test_single_precision_is_precise_enough_for_intervals():
    truth, detections = random_set(5, image_count=300)
    weights = draw(truth.groups, 20, 0)
    classes = match(truth, detections, CLASS_NAMES)
    exact = tally(classes, weights.astype(float), 0.25).ap50_95
    np.testing.assert_allclose(tally(classes, weights, 0.25).ap50_95, exact, atol=1e-6)


def test_exact_counts_at_the_deploy_threshold():
    truth = make_truth([[(BOX, 0), ((300, 300, 400, 400), 0)], [(BOX, 1)]])
    detections = make_detections(
        [[(BOX, 0, 0.9), (BOX, 0, 0.8), ((300, 300, 400, 400), 0, 0.2)], [(BOX, 2, 0.7)]]
    )
    overall = _tally(truth, detections, [[1, 1], [0, 1], [1, 0]]).overall()
    np.testing.assert_allclose(overall["recall"], [1 / 3, 0, 1 / 2])
    np.testing.assert_allclose(overall["precision"], [1 / 3, 0, 1 / 2])
    np.testing.assert_allclose(overall["f1"], [2 / 6, 0, 2 / 4])


def test_what_has_no_box_or_no_claim_is_undefined_and_not_nought():
    truth = make_truth([[(BOX, 0)], []])
    counted = _tally(truth, make_detections([[], []]), [[1, 1], [0, 2]])
    per_class, overall = counted.per_class(), counted.overall()
    assert per_class["ap50_95"][0, 0] == 0
    assert np.isnan(per_class["ap50_95"][1, 0])
    assert np.isnan(per_class["ap50_95"][:, 1:]).all()
    assert overall["recall"][0] == 0
    assert np.isnan(overall["recall"][1])
    assert np.isnan(overall["precision"]).all()


@given(groups=st.lists(st.integers(0, 4), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_a_group_is_drawn_whole_and_as_many_as_there_are(groups, seed):
    numbers = np.unique(groups, return_inverse=True)[1]
    weights = draw(numbers, 50, seed)
    first_of_group = [int(np.flatnonzero(numbers == number)[0]) for number in np.unique(numbers)]
    assert (weights == weights[:, first_of_group][:, numbers]).all()
    assert (weights[:, first_of_group].sum(axis=1) == len(first_of_group)).all()


def test_each_group_is_drawn_equally_often():
    weights = draw(np.arange(5), 20_000, 1)
    assert weights.mean(axis=0) == pytest.approx(np.ones(5), abs=0.03)
    assert weights.var(axis=0) == pytest.approx(np.full(5, 0.8), abs=0.03)
