import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.evaluation.detections import Detections
from core.evaluation.figures import Figures, figures_of
from tests.unit.evaluation.factories import CLASS_NAMES, make_detections, make_truth, oracle, random_set

BOX, ELSEWHERE = (100, 100, 200, 200), (400, 400, 500, 500)


def _figures(truth, detections, confidence=0.25):
    return figures_of(truth, detections, class_names=CLASS_NAMES, confidence=confidence)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31))
def test_average_precision_and_curves_are_cocos(seed):
    truth, detections = random_set(seed)
    figures, expected = _figures(truth, detections), oracle(truth, detections)
    assert figures.overall.ap50_95 == pytest.approx(np.nanmean(expected), abs=1e-6)
    assert figures.overall.ap50 == pytest.approx(np.nanmean(expected[0]), abs=1e-6)
    for row in figures.per_class:
        if row.ap50_95 is not None:
            assert row.ap50_95 == pytest.approx(expected[:, row.class_id].mean(), abs=1e-6)
    for curve in figures.curves:
        assert np.mean(curve.precision) == pytest.approx(expected[0, curve.class_id], abs=1e-5)
        assert list(curve.confidence) == sorted(curve.confidence, reverse=True)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), confidence=st.sampled_from([0.1, 0.25, 0.6]))
def test_the_counts_agree_with_each_other(seed, confidence):
    truth, detections = random_set(seed)
    figures = _figures(truth, detections, confidence)
    confusion = np.array(figures.confusion)
    assert list(confusion[:-1].sum(axis=1)) == list(np.bincount(truth.class_id, minlength=3))
    assert confusion[:, :-1].sum() == figures.overall.claims == (detections.confidence >= confidence).sum()
    assert sum(row.hits for row in figures.per_class) == figures.overall.hits
    assert sum(one.count for one in figures.calibration) == figures.overall.claims
    wrong = sum(one.count for one in figures.errors if one.kind != "missed")
    assert wrong == figures.overall.claims - figures.overall.hits


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ((BOX, 1, 0.9), "class"),
        (((100, 100, 200, 350), 0, 0.9), "place"),
        (((100, 100, 200, 350), 1, 0.9), "both"),
        ((ELSEWHERE, 0, 0.9), "background"),
    ],
)
def test_each_kind_of_error_is_told(found, kind):
    figures = _figures(make_truth([[(BOX, 0)]]), make_detections([[found]]))
    counts = {one.kind: one.count for one in figures.errors}
    assert {name for name, count in counts.items() if count} - {"missed"} == {kind}


def test_a_second_box_on_the_same_object_and_one_that_nothing_saw():
    truth = make_truth([[(BOX, 0), (ELSEWHERE, 2)]])
    figures = _figures(truth, make_detections([[(BOX, 0, 0.9), (BOX, 0, 0.8)]]))
    counts = {one.kind: one.count for one in figures.errors}
    assert (counts["duplicate"], counts["missed"]) == (1, 1)
    assert figures.confusion == ((1, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0))
    assert (figures.overall.precision, figures.overall.recall, figures.overall.f1) == (0.5, 0.5, 0.5)


def test_calibration_compares_confidence_with_hits():
    truth = make_truth([[(BOX, 0)], [(BOX, 0)], []])
    sure = make_detections([[(BOX, 0, 0.91)], [(BOX, 0, 0.75)], [(BOX, 0, 0.95)]])
    figures = _figures(truth, sure)
    assert [(one.count, one.hit_share) for one in figures.calibration] == [(1, 1.0), (2, 0.5)]
    assert figures.calibration_error == pytest.approx((0.25 + 2 * (0.93 - 0.5)) / 3, abs=1e-6)


def test_nothing_seen_and_nothing_there():
    nothing = _figures(make_truth([[(BOX, 0)]]), make_detections([[]]))
    assert (nothing.overall.recall, nothing.overall.precision, nothing.calibration_error) == (0, None, None)
    empty = _figures(make_truth([[]]), make_detections([[]]))
    assert (empty.overall.ap50_95, empty.per_class, empty.curves) == (None, (), ())


def test_figures_can_be_made_again_from_what_was_kept():
    truth, detections = random_set(11)
    kept = Detections.from_parquet(detections.to_parquet())
    figures = _figures(truth, detections)
    assert _figures(truth, kept) == figures
    assert Figures.model_validate_json(figures.model_dump_json()) == figures
