import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.gate import decide
from core.evaluation.metrics import MAP50_95, Score


def _score(map50_95, digest="same"):
    return Score(
        set_name="test", set_digest=digest, image_count=10, metrics={MAP50_95: map50_95}, per_class=()
    )


def _decide(old, new, policy="no_regression", margin=0.01):
    return decide(_score(old), _score(new), policy=policy, margin=margin)


@pytest.mark.parametrize(
    ("old", "new", "policy", "verdict", "publishes"),
    [
        (0.40, 0.45, "no_regression", "pass", True),
        (0.40, 0.395, "no_regression", "pass", True),
        (0.40, 0.38, "no_regression", "fail", False),
        (0.40, 0.45, "manual", "pass", False),
        (0.40, 0.38, "manual", "fail", False),
        (0.40, 0.90, "proven_gain", "not_enough_evidence", False),
        (0.40, 0.38, "proven_gain", "fail", False),
    ],
)
def test_verdict_and_publication(old, new, policy, verdict, publishes):
    decision = _decide(old, new, policy)
    assert (decision.verdict, decision.publishes) == (verdict, publishes)


def test_the_reason_tells_the_numbers():
    reason = _decide(0.40, 0.38).reason
    assert "40.0 → 38.0 (-2.0 points) on 10 base test images" in reason


def test_different_sets_are_never_compared():
    with pytest.raises(ValueError, match="different image sets"):
        decide(_score(0.4), _score(0.5, "other"), policy="no_regression", margin=0.01)


@given(old=st.floats(0, 1), new=st.floats(0, 1), margin=st.floats(0, 1))
def test_nothing_that_loses_more_than_the_margin_is_ever_published(old, new, margin):
    for policy in ("no_regression", "proven_gain", "manual"):
        if new - old < -margin:
            assert not _decide(old, new, policy, margin).publishes
