import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.feedback.disagreement import differences, score, severity

CLASSES = 3


def drawn(xyxy, class_id=0, **more):
    return {"xyxy": list(xyxy), "class_id": class_id, **more}


def seen(xyxy, class_id=0, confidence=0.8):
    return {"xyxy": list(xyxy), "class_id": class_id, "confidence": confidence}


def seen_as(box, confidence=0.8):
    return seen(box["xyxy"], box["class_id"], confidence)


def kinds(human, predicted):
    return Counter(found["kind"] for found in differences(human, predicted))


@st.composite
def boxes(draw, **more):
    x, y = (draw(st.integers(0, 60)) for _ in range(2))
    width, height = (draw(st.integers(1, 40)) for _ in range(2))
    return {
        "xyxy": [x, y, x + width, y + height],
        "class_id": draw(st.integers(0, CLASSES - 1)),
        **{name: draw(values) for name, values in more.items()},
    }


HUMAN = st.lists(boxes(), max_size=8)
PREDICTED = st.lists(boxes(confidence=st.floats(0.25, 1)), max_size=8)


@st.composite
def far_apart(draw):
    """Boxes of 20 x 20 px, each in a cell of its own of 100 x 100 px."""
    cells = draw(st.lists(st.integers(0, 9), unique=True, max_size=6))
    return [drawn((100 * cell, 0, 100 * cell + 20, 20), draw(st.integers(0, CLASSES - 1))) for cell in cells]


@given(HUMAN)
def test_the_same_boxes_agree(human):
    assert differences(human, [seen_as(box) for box in human]) == []
    assert score([]) == 0


@given(HUMAN, PREDICTED, st.randoms(use_true_random=False))
def test_the_order_of_the_boxes_does_not_matter(human, predicted, chance: random.Random):
    before = differences(human, predicted)
    mixed = [chance.sample(one, len(one)) for one in (human, predicted)]
    after = differences(*mixed)
    assert score(after) == score(before)
    assert Counter((one["kind"], one["iou"], one["confidence"]) for one in after) == Counter(
        (one["kind"], one["iou"], one["confidence"]) for one in before
    )


@given(HUMAN, PREDICTED)
def test_each_box_is_told_of_once_at_most_and_those_left_over_by_their_kind(human, predicted):
    found = differences(human, predicted)
    for name, listed in (("human", human), ("predicted", predicted)):
        told = [one[name] for one in found if one[name] is not None]
        assert len(told) == len(set(told)) <= len(listed)
    for one in found:
        assert (one["human"] is None) == (one["kind"] == "extra")
        assert (one["predicted"] is None) == (one["kind"] == "missed")
    assert 0 <= score(found) < 1
    assert (score(found) == 0) == (found == [])
    assert [severity(one) for one in found] == sorted(map(severity, found), reverse=True)


@given(far_apart(), st.floats(0.25, 1), st.data())
def test_each_planted_change_is_found_as_its_kind(human, confidence, data):
    predicted, planted = [], Counter()
    for box in human:
        change = data.draw(st.sampled_from(["none", "missed", "other_class", "shifted"]))
        planted[change] += change != "none"
        moved = [edge + 10 * (axis % 2 == 0) for axis, edge in enumerate(box["xyxy"])]
        predicted += {
            "none": [seen_as(box)],
            "missed": [],
            "other_class": [seen(box["xyxy"], (box["class_id"] + 1) % CLASSES, confidence)],
            "shifted": [seen(moved, box["class_id"], confidence)],
        }[change]
    for number in range(data.draw(st.integers(0, 2))):
        planted["extra"] += 1
        predicted.append(seen((100 * number, 500, 100 * number + 9, 509), 0, confidence))
    assert kinds(human, predicted) == +planted


@given(HUMAN, PREDICTED, boxes())
def test_one_more_difference_raises_the_score(human, predicted, far):
    far["xyxy"] = [edge + 1_000 for edge in far["xyxy"]]
    before = score(differences(human, predicted))
    assert score(differences([*human, far], predicted)) > before
    assert score(differences(human, [*predicted, {**far, "confidence": 0.5}])) > before


@pytest.mark.parametrize(
    ("milder", "graver"),
    [
        (([], [seen((0, 0, 9, 9), 0, 0.5)]), ([], [seen((0, 0, 9, 9), 0, 0.9)])),
        (
            ([drawn((0, 0, 9, 9))], [seen((0, 0, 9, 9), 1, 0.3)]),
            ([drawn((0, 0, 9, 9))], [seen((0, 0, 9, 9), 1, 0.9)]),
        ),
        (
            ([drawn((0, 0, 20, 20))], [seen((8, 0, 28, 20))]),
            ([drawn((0, 0, 20, 20))], [seen((14, 0, 34, 20))]),
        ),
        (
            ([drawn((0, 0, 20, 20))], [seen((14, 0, 34, 20))]),
            ([drawn((0, 0, 20, 20))], [seen((40, 0, 60, 20))]),
        ),
        (([drawn((0, 0, 20, 20))], [seen((0, 0, 20, 20), 1)]), ([drawn((0, 0, 20, 20))], [])),
    ],
    ids=["surer of a box too many", "surer of another class", "further off", "elsewhere", "not at all"],
)
def test_the_graver_the_higher(milder, graver):
    assert 0 < score(differences(*milder)) < score(differences(*graver))


def test_the_box_that_fits_best_is_taken_and_the_class_counts_first():
    human = [drawn((0, 0, 20, 20), 0)]
    as_another, as_itself = seen((0, 0, 20, 20), 1, 0.9), seen((0, 0, 20, 16), 0, 0.3)
    (extra,) = differences(human, [as_another, as_itself])
    assert (extra["kind"], extra["predicted"], extra["confidence"]) == ("extra", 0, 0.9)


def test_a_second_box_on_the_same_object_is_one_too_many():
    assert kinds([drawn((0, 0, 20, 20))], [seen((0, 0, 20, 20)), seen((0, 0, 20, 18))]) == {"extra": 1}


def test_another_class_beside_the_box_is_a_miss_and_one_too_many():
    assert kinds([drawn((0, 0, 20, 20))], [seen((10, 0, 30, 20), 1)]) == {"missed": 1, "extra": 1}


def test_what_the_champion_added_was_not_drawn_by_anybody():
    human = [drawn((50, 0, 60, 9), origin="champion", confidence=0.9), drawn((0, 0, 20, 20))]
    (extra, missed) = sorted(differences(human, [seen((50, 0, 60, 9))]), key=lambda one: one["kind"])
    assert (extra["kind"], missed["kind"], missed["human"]) == ("extra", "missed", 1)


def test_a_thousand_boxes_are_compared():
    human = [drawn((10 * n, 0, 10 * n + 9, 9)) for n in range(1_000)]
    assert kinds(human, [seen_as(box) for box in human[:300]]) == {"missed": 700}
