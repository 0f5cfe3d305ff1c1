"""Boxes against class map and image."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dataset.images import Label
from core.feedback.boxes import MAX_OVERHANG_PX, fit, on_grid
from core.feedback.reasons import Refusal
from core.schemas import Box, Detection
from tests.factories import CLASS_NAMES, Xyxy, detection
from tests.unit.feedback.attempts import attempt

WIDTH, HEIGHT = 100, 80


def posted(*xyxy: Xyxy, class_id: int | str = 0) -> list[Detection]:
    return [Detection.model_validate(detection(corners, class_id)) for corners in xyxy]


def fitted(*xyxy: Xyxy) -> list[list[float]]:
    return [stored["xyxy"] for stored in fit(posted(*xyxy), CLASS_NAMES, WIDTH, HEIGHT)]


def refused(detections: list[Detection]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        fit(detections, CLASS_NAMES, WIDTH, HEIGHT)
    return caught.value


def test_no_detection_is_a_false_alarm_and_legal() -> None:
    assert fit([], CLASS_NAMES, WIDTH, HEIGHT) == []


@pytest.mark.parametrize(
    ("xyxy", "words"),
    [
        ((30, 10, 10, 30), ["x_max 10", "x_min 30"]),
        ((10, 30, 30, 10), ["y_max 10", "y_min 30"]),
        ((10, 10, 10, 30), ["x_max 10", "x_min 10"]),
        ((10, 10, 30, 10), ["y_max 10", "y_min 10"]),
        ((30, 30, 10, 10), ["x_max 10", "y_max 10"]),
    ],
)
def test_an_inverted_box_is_refused(xyxy: Xyxy, words: list[str]) -> None:
    refusal = refused(posted(xyxy))
    assert refusal.code == "box_inverted"
    assert all(word in refusal.detail for word in words)


@pytest.mark.parametrize("class_id", [3, 999, "Hot Joint", "missing"])
def test_an_unknown_class_is_refused_with_the_known_ones(class_id: int | str) -> None:
    refusal = refused(posted((1, 1, 9, 9), class_id=class_id))
    assert refusal.code == "class_unknown"
    assert all(name in refusal.detail for name in (str(class_id), *CLASS_NAMES))


def test_a_class_may_be_named() -> None:
    by_name = posted((1, 1, 9, 9), class_id="cold joint")
    assert fit(by_name, CLASS_NAMES, WIDTH, HEIGHT) == [{"xyxy": [1, 1, 9, 9], "class_id": 1}]


def test_all_faults_are_listed_and_the_first_gives_the_code() -> None:
    faulty = posted((1, 1, 9, 9)) + posted((9, 1, 1, 9)) + posted((1, 1, 9, 9), class_id=7)
    refusal = refused(faulty)
    assert refusal.code == "box_inverted"
    assert "Box 2:" in refusal.detail
    assert "Box 3:" in refusal.detail
    assert "Box 1:" not in refusal.detail

    misfits = refused(posted((10, 10, 20, 20), (99.5, 1, 110, 9), (-1, 10, 0.5, 20)))
    assert misfits.code == "box_outside"
    assert "Box 2:" in misfits.detail
    assert "Box 3:" in misfits.detail


@pytest.mark.parametrize(
    ("xyxy", "clipped"),
    [
        ((0, 0, 100, 80), [0, 0, 100, 80]),
        ((-2, -2, 102, 82), [0, 0, 100, 80]),
        ((-0.25, 5, 20.5, 81.75), [0, 5, 20.5, 80]),
    ],
)
def test_a_small_overhang_is_clipped(xyxy: Xyxy, clipped: list[float]) -> None:
    assert fitted(xyxy) == [clipped]


@pytest.mark.parametrize(
    ("xyxy", "overhang"),
    [
        ((-2.5, 10, 20, 20), "2.5 px"),
        ((10, -3, 20, 20), "3 px"),
        ((10, 10, 102.01, 20), "2.01 px"),
        ((10, 10, 20, 90), "10 px"),
        ((500, 500, 600, 600), "520 px"),
        ((0, 0, 1e300, 10), "1e+300 px"),
    ],
)
def test_a_large_overhang_is_refused_with_the_numbers(xyxy: Xyxy, overhang: str) -> None:
    refusal = refused(posted(xyxy))
    assert refusal.code == "box_outside"
    assert overhang in refusal.detail
    assert "100 x 80 px" in refusal.detail
    assert f"{xyxy[0]:g}, {xyxy[1]:g}" in refusal.detail


@pytest.mark.parametrize("xyxy", [(10, 10, 10.5, 20), (10, 10, 20, 10.9), (-2, 10, 0, 20), (99.5, 1, 102, 9)])
def test_a_box_without_area_in_the_image_is_refused(xyxy: Xyxy) -> None:
    assert refused(posted(xyxy)).code == "box_too_small"


sides = st.integers(10, 5_000)
coordinates = st.floats(-6_000, 6_000) | st.integers(-10, 110).map(float)


@given(sides, sides, st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=5))
def test_every_box_fits_or_is_refused(width_px: int, height_px: int, corners: list[Xyxy]) -> None:
    detections = posted(*corners)
    stored = attempt(lambda: fit(detections, CLASS_NAMES, width_px, height_px))
    if isinstance(stored, Refusal):
        assert stored.code in ("box_inverted", "box_outside", "box_too_small")
        assert any(_is_faulty(one.box, width_px, height_px) for one in detections)
        return
    assert not any(_is_faulty(one.box, width_px, height_px) for one in detections)
    for one, given_xyxy in zip(stored, corners, strict=True):
        x_min, y_min, x_max, y_max = one["xyxy"]
        assert 0 <= x_min <= x_max - 1 <= width_px - 1
        assert 0 <= y_min <= y_max - 1 <= height_px - 1
        moved = [abs(new - old) for new, old in zip(one["xyxy"], given_xyxy, strict=True)]
        assert max(moved) <= MAX_OVERHANG_PX


def _is_faulty(box: Box, width_px: int, height_px: int) -> bool:
    """The rules once more, side by side, as the issue tells them."""
    inside_x = sorted((0.0, box.x_min, float(width_px)))[1], sorted((0.0, box.x_max, float(width_px)))[1]
    inside_y = sorted((0.0, box.y_min, float(height_px)))[1], sorted((0.0, box.y_max, float(height_px)))[1]
    return (
        box.x_max <= box.x_min
        or box.y_max <= box.y_min
        or box.x_min < -2
        or box.y_min < -2
        or box.x_max > width_px + 2
        or box.y_max > height_px + 2
        or inside_x[1] - inside_x[0] < 1
        or inside_y[1] - inside_y[0] < 1
    )


@given(sides, sides, st.data())
def test_fitting_twice_changes_nothing(width_px: int, height_px: int, data: st.DataObject) -> None:
    x_min = data.draw(st.floats(-2, width_px - 1))
    y_min = data.draw(st.floats(-2, height_px - 1))
    x_max = data.draw(st.floats(max(x_min, 0) + 1, width_px + 2))
    y_max = data.draw(st.floats(max(y_min, 0) + 1, height_px + 2))
    once = attempt(lambda: fit(posted((x_min, y_min, x_max, y_max)), CLASS_NAMES, width_px, height_px))
    if isinstance(once, Refusal):  # Adding 1 to a float may give a little less than 1.
        assert once.code == "box_too_small"
        return
    xyxy = once[0]["xyxy"]
    assert fit(posted((xyxy[0], xyxy[1], xyxy[2], xyxy[3])), CLASS_NAMES, width_px, height_px) == once


@given(
    st.tuples(*[st.floats(0, 30_000)] * 2),
    st.tuples(*[st.floats(1, 20_000)] * 2),
    st.integers(20_000, 50_000),
)
def test_a_box_that_went_through_shares_is_still_the_same(
    corner: tuple[float, float], size: tuple[float, float], side_px: int
) -> None:
    x, y = corner
    xyxy = on_grid((x, y, x + size[0], y + size[1]))
    center_x, center_y = (xyxy[0] + xyxy[2]) / 2 / side_px, (xyxy[1] + xyxy[3]) / 2 / side_px
    width, height = (xyxy[2] - xyxy[0]) / side_px, (xyxy[3] - xyxy[1]) / side_px
    again = (
        (center_x - width / 2) * side_px,
        (center_y - height / 2) * side_px,
        (center_x + width / 2) * side_px,
        (center_y + height / 2) * side_px,
    )
    assert on_grid(again) == xyxy
    assert max(abs(now - before) for now, before in zip(xyxy, (x, y), strict=False)) < 1e-6


def test_stored_boxes_lie_on_the_grid() -> None:
    assert fitted((1 / 3, 0.1, 20.2, 30.3)) == [list(on_grid((1 / 3, 0.1, 20.2, 30.3)))]


@given(st.tuples(sides, sides), st.data())
def test_a_label_is_within_half_a_pixel_of_its_box_in_images_of_every_size(
    size_px: tuple[int, int], data: st.DataObject
) -> None:
    low = [data.draw(st.floats(0, side - 1)) for side in size_px]
    high = [data.draw(st.floats(least + 1, side)) for least, side in zip(low, size_px, strict=True)]
    again = Label.from_xyxy(0, (*low, *high), *size_px).xyxy_in(*size_px)
    assert max(abs(now - before) for now, before in zip(again, (*low, *high), strict=True)) < 0.5
