import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DifferentSets
from core.evaluation.comparison import Changes, ClassChanges, Comparison
from core.evaluation.gate import decide
from core.evaluation.intervals import Change
from core.evaluation.policy import Evidence, Policy

POLICIES = ("no_regression", "proven_gain", "manual")


def _change(old, new, half_width=0.008, p_value=0.5):
    delta = None if old is None else new - old
    ends = {
        f"{end}_{percent}": None if delta is None else delta + sign * half_width * share
        for percent, share in ((95, 1.0), (90, 0.84))
        for end, sign in (("low", -1), ("high", 1))
    }
    return Change(old=old, new=new, delta=delta, p_value=p_value, **ends)


def _compared(old, new, half_width=0.008, groups=200, images=None, name="test", classes=(), digest="d"):
    change = _change(old, new, half_width)
    return Comparison(
        set_name=name,
        set_digest=digest,
        image_count=images or groups,
        group_count=groups,
        box_count=500,
        confidence=0.25,
        resamples=1000,
        overall=Changes(ap50_95=change, ap50=change, precision=change, recall=change, f1=change),
        per_class=classes,
    )


def _class(ap=(0.5, 0.5), recall=(0.8, 0.8), boxes=60, p_holm=1.0, name="loose joint"):
    change = _change(*ap)
    return ClassChanges(
        class_id=0,
        class_name=name,
        box_count=boxes,
        image_count=boxes,
        p_holm=p_holm,
        ap50_95=change,
        ap50=change,
        precision=change,
        recall=_change(*recall),
        f1=change,
    )


def _gain(groups=60, delta=0.05, half_width=0.03):
    return _compared(0.3, 0.3 + delta, half_width, groups, name="holdout")


def _decide(base, holdout=None, policy="no_regression", ancestors=None, **demands):
    return decide(Evidence(base, holdout, ancestors or {}), Policy(policy, **demands))


def _verdict(*evidence, **more):
    decision = _decide(*evidence, **more)
    return decision.verdict, decision.publishes


@pytest.mark.parametrize(
    ("base", "holdout", "verdict", "published_under"),
    [
        (_compared(0.40, 0.40), _gain(), "pass", {"no_regression", "proven_gain"}),
        (_compared(0.40, 0.40), None, "not_enough_evidence", {"no_regression"}),
        (_compared(0.40, 0.40), _gain(delta=0.02), "not_enough_evidence", {"no_regression"}),
        (_compared(0.40, 0.40, 0.05), _gain(), "not_enough_evidence", {"no_regression"}),
        (_compared(0.40, 0.37, 0.05), _gain(), "not_enough_evidence", set()),
        (_compared(0.40, 0.37, 0.01), _gain(), "fail", set()),
        (_compared(0.40, 0.45), _gain(delta=-0.04), "fail", set()),
        (_compared(0.40, 0.45), _gain(delta=-0.02), "not_enough_evidence", {"no_regression"}),
    ],
)
def test_verdict_and_what_each_policy_publishes(base, holdout, verdict, published_under):
    for policy in POLICIES:
        assert _verdict(base, holdout, policy=policy) == (verdict, policy in published_under)


def test_few_images_never_pass_however_narrow_the_interval():
    assert _verdict(_compared(0.4, 0.4, 0.0, groups=29), _gain()) == ("not_enough_evidence", True)
    assert _verdict(_compared(0.4, 0.4, 0.0, groups=30), _gain())[0] == "pass"
    assert _verdict(_compared(0.4, 0.4), _gain(groups=29, half_width=0.0)) == ("not_enough_evidence", True)


def test_a_small_loss_on_few_images_is_held_and_not_called_a_failure():
    assert _verdict(_compared(0.4, 0.3, 0.02, groups=10)) == ("not_enough_evidence", False)


def test_a_collapse_and_a_leap_show_even_on_few_images():
    assert _verdict(_compared(0.4, 0.1, 0.1, groups=10)) == ("fail", False)
    assert _verdict(_compared(0.4, 0.4), _gain(groups=10, delta=0.3, half_width=0.1))[0] == "pass"


@pytest.mark.parametrize(
    ("row", "groups", "verdict"),
    [
        (_class(ap=(0.5, 0.46), p_holm=0.01), 200, "fail"),
        (_class(ap=(0.5, 0.46), p_holm=0.05), 200, "pass"),
        (_class(ap=(0.5, 0.475), p_holm=0.01), 200, "pass"),
        (_class(ap=(0.5, 0.2), p_holm=0.01, boxes=29), 200, "pass"),
        (_class(ap=(0.5, 0.9), p_holm=0.01), 200, "pass"),
    ],
)
def test_a_class_with_enough_boxes_may_not_drop(row, groups, verdict):
    base = _compared(0.4, 0.4, groups=groups, classes=(row,))
    assert _verdict(base, _gain())[0] == verdict
    assert _verdict(_compared(0.4, 0.4), _gain().model_copy(update={"per_class": (row,)}))[0] == verdict


@pytest.mark.parametrize(
    ("recall", "boxes", "verdict", "publishes"),
    [
        ((0.9, 0.85), 60, "pass", True),
        ((0.9, 0.75), 60, "not_enough_evidence", False),
        ((0.9, 0.5), 60, "fail", False),
        ((0.9, 0.5), 4, "not_enough_evidence", False),
        ((0.5, 0.6), 60, "pass", True),
    ],
)
def test_critical_classes_keep_their_recall(recall, boxes, verdict, publishes):
    base = _compared(0.4, 0.4, classes=(_class(recall=recall, boxes=boxes),))
    floors = {"loose joint": 0.8}
    assert _verdict(base, _gain(), recall_floors=floors) == (verdict, publishes)


def test_a_floor_for_a_class_that_no_image_shows_stays_open():
    decision = _decide(_compared(0.4, 0.4), _gain(), recall_floors={"overload": 0.8})
    assert (decision.verdict, decision.publishes) == ("not_enough_evidence", True)
    assert "No image shows class overload" in decision.reason


def test_small_losses_that_add_up_are_stopped():
    step = _compared(0.40, 0.395)
    for far, verdict in ((_compared(0.43, 0.395), "fail"), (_compared(0.43, 0.395, 0.1), None)):
        decision = _decide(step, _gain(), ancestors={"the baseline": far})
        assert (decision.verdict, decision.publishes) == (verdict or "not_enough_evidence", False)
        assert "Against the baseline" in decision.reason
    assert _verdict(step, _gain(), ancestors={"the baseline": _compared(0.41, 0.395)})[1]


def test_the_reason_tells_the_numbers():
    reason = _decide(_compared(0.40, 0.38, 0.05, groups=10)).reason
    assert "40.0 → 38.0 (-2.0 points; 95 % interval -7.0 to +3.0) on 10 base test images" in reason
    assert "more than the 1.0 points that may be lost, though it may be chance" in reason
    grouped = _decide(_compared(0.40, 0.38, 0.05, groups=7, images=10)).reason
    assert "on 10 base test images in 7 groups" in grouped


@pytest.mark.parametrize(
    ("base", "needed"),
    [
        (_compared(0.4, 0.4, 0.02), 600),  # twice the distance: four times the images
        (_compared(0.4, 0.4, 0.0, groups=10, images=20), 40),  # up to 30 groups
        (_compared(0.4, 0.39, 0.02), 10_000),  # exactly on the floor
        (_compared(0.4, 0.37, 0.04), 600),
    ],
)
def test_how_many_more_images_it_would_take(base, needed):
    decision = _decide(base, _gain())
    assert decision.images_needed == pytest.approx(needed, abs=2)
    assert "more images" in decision.reason


def test_what_passes_needs_no_more_images():
    decision = _decide(_compared(0.4, 0.4), _gain())
    assert decision.images_needed is None
    assert "ruled out" in decision.reason
    assert "a gain is proven" in decision.reason


def test_without_a_box_nothing_can_be_said():
    assert _verdict(_compared(None, None)) == ("not_enough_evidence", True)


def test_ancestors_on_another_set_are_refused():
    with pytest.raises(DifferentSets):
        _decide(_compared(0.4, 0.4), ancestors={"the baseline": _compared(0.4, 0.4, digest="other")})


@given(
    old=st.floats(0, 1),
    new=st.floats(0, 1),
    half_width=st.floats(0, 0.5),
    groups=st.integers(1, 2000),
    gain=st.floats(-0.5, 0.5),
    policy=st.sampled_from(POLICIES),
)
def test_what_holds_whatever_the_figures(old, new, half_width, groups, gain, policy):
    base, holdout = _compared(old, new, half_width, groups), _gain(groups, gain, half_width)
    decision = _decide(base, holdout, policy)
    if new - old < -0.01:
        assert not decision.publishes
    if decision.verdict == "fail":
        assert not decision.publishes
    if decision.verdict == "pass":
        assert groups >= 30
        assert new - old - half_width > -0.01
        assert gain > 0
    better = _decide(_compared(old, min(1.0, new + 0.1), half_width, groups), holdout, policy)
    assert not (decision.publishes and not better.publishes)
