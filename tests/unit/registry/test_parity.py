import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.registry.parity import compare

EDGES = st.tuples(*(st.floats(0, 300) for _ in range(2)), *(st.floats(1, 200) for _ in range(2)))
SEEN = st.builds(
    lambda edges, class_id, confidence: {
        "xyxy": [edges[0], edges[1], edges[0] + edges[2], edges[1] + edges[3]],
        "class_id": class_id,
        "confidence": confidence,
    },
    EDGES,
    st.integers(0, 3),
    st.floats(0, 1),
)


def seen(xyxy=(10, 10, 30, 30), class_id=0, confidence=0.9):
    return {"xyxy": list(xyxy), "class_id": class_id, "confidence": confidence}


@given(st.lists(st.lists(SEEN, max_size=6), max_size=3), st.randoms(use_true_random=False))
def test_what_is_seen_is_equal_to_itself_in_any_order(images, random):
    shuffled = [random.sample(image, len(image)) for image in images]
    held = compare(images, shuffled)
    assert (held.image_count, held.missing_count, held.extra_count) == (len(images), 0, 0)


@given(st.lists(SEEN, max_size=6), st.lists(SEEN, max_size=6))
def test_each_detection_is_counted_once(expected, found):
    held = compare([expected], [found])
    assert held.detection_count == len(expected)
    assert len(expected) - held.missing_count == len(found) - held.extra_count >= 0
    assert 0 <= held.most_confidence_difference <= 1


def test_differences_of_a_pair_are_told():
    held = compare([[seen()]], [[seen((10, 11.5, 30, 30), confidence=0.6)]])
    assert (held.missing_count, held.extra_count) == (0, 0)
    assert held.most_confidence_difference == pytest.approx(0.3)
    assert held.most_corner_difference_px == pytest.approx(1.5)


@pytest.mark.parametrize(
    "other",
    [seen(class_id=1), seen((10, 20.1, 30, 40.1)), seen((10, 10, 10, 30))],
    ids=["class", "place", "flat"],
)
def test_another_class_or_place_is_another_detection(other):
    held = compare([[seen()]], [[other]])
    assert (held.missing_count, held.extra_count) == (1, 1)


def test_a_detection_belongs_with_the_nearest_and_with_one():
    near, far = seen((10, 10, 30, 31)), seen((10, 10, 30, 38))
    held = compare([[seen()]], [[far, near]])
    assert (held.missing_count, held.extra_count, held.most_corner_difference_px) == (0, 1, 1)
    assert compare([[seen(), seen()]], [[near]]).missing_count == 1


def test_detections_of_one_image_do_not_stand_for_those_of_another():
    held = compare([[seen()], []], [[], [seen()]])
    assert (held.missing_count, held.extra_count) == (1, 1)


def test_what_is_not_sure_enough_may_be_missing_and_still_stands_by():
    unsure, sure = seen(confidence=0.049), seen((10, 10, 30, 31), confidence=0.051)
    assert compare([[unsure]], [[]], confidence=0.05).model_dump() == compare([[]], [[]]).model_dump()
    assert compare([[]], [[unsure]], confidence=0.05).extra_count == 0
    held = compare([[sure]], [[unsure]], confidence=0.05)
    assert (held.detection_count, held.missing_count, held.extra_count) == (1, 0, 0)
    assert held.most_confidence_difference == pytest.approx(0.002)
    assert compare([[unsure]], [[sure]], confidence=0.05).extra_count == 0
