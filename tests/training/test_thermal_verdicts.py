"""The gate on the detector's own ten test images: they tell a collapse from nothing, and little else."""

from dataclasses import replace

import numpy as np
import pytest

from core.dataset.base_set import read_base_set
from core.evaluation.comparison import compare
from core.evaluation.detections import Truth
from core.evaluation.gate import decide
from core.evaluation.policy import Evidence, Policy

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


@pytest.fixture(scope="module")
def thermal(bench, real_data, tmp_path_factory):
    """Labels, class names, and what the real baseline sees in the real test split."""
    from core.evaluation.predict import score

    base = read_base_set(real_data / "tms-thermal")
    folder = tmp_path_factory.mktemp("thermal")
    weights = real_data / "weights" / "tms-baseline.pt"
    seen = score(weights, base.test, image_size=320, device="cpu", work_folder=folder).detections
    return Truth.of(base.test), base.class_names, seen


def _decide(thermal, changed, policy="no_regression"):
    truth, class_names, seen = thermal
    compared = compare(truth, seen, changed, class_names=class_names, confidence=0.25)
    return decide(Evidence(compared), Policy(policy)), compared.overall.ap50_95.delta


def test_ten_images_are_of_seven_transformers(thermal):
    assert (thermal[0].image_count, thermal[0].group_count) == (10, 7)


@pytest.mark.parametrize("seed", range(20))
def test_any_small_change_is_not_enough_evidence(thermal, seed):
    seen, random = thermal[2], np.random.default_rng(seed)
    moved = seen.xyxy + np.tile(random.normal(0, 1 + seed % 4, (len(seen), 2)), 2)
    shaken = (seen.confidence + random.normal(0, 0.05, len(seen))).clip(0.001, 1)
    decision, delta = _decide(thermal, replace(seen, xyxy=moved, confidence=shaken))
    assert abs(delta) < 0.15
    assert decision.verdict == "not_enough_evidence"
    assert decision.images_needed >= 30
    assert decision.publishes is (delta >= -0.01)


def test_no_change_at_all_is_not_enough_evidence_and_is_published(thermal):
    decision, delta = _decide(thermal, thermal[2])
    assert (delta, decision.verdict, decision.publishes) == (0, "not_enough_evidence", True)


def test_a_collapse_fails_under_every_policy(thermal):
    seen = thermal[2]
    for policy in ("no_regression", "proven_gain", "manual"):
        decision, _ = _decide(thermal, seen.where(seen.confidence < 0.01), policy)
        assert (decision.verdict, decision.publishes) == ("fail", False)
