"""The Review screen in a real browser, with images and boxes, and somebody else at the same samples."""

import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from core.feedback import review
from core.feedback.samples import get_sample
from core.store import Store
from tests.factories import thermal_file
from tests.samples import add_batch
from tests.ui import review_states
from tests.ui.looking_glass import Watch
from tests.ui.product import Product, open_page

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def champion_id(shared: Store) -> str:
    return review_states.add_champion(shared)


@pytest.fixture
def batch_id(shared: Store, champion_id: str) -> str:
    return add_batch(shared, champion_id=champion_id)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with open_page(chromium, viewport={"width": 1440, "height": 1000}) as opened:
        yield opened


def test_sample_is_opened_corrected_and_approved_by_key(
    page: Page, product: Product, shared: Store, batch_id: str, champion_id: str
) -> None:
    first, second = (review_states.add_image(shared, batch_id, seed) for seed in (1, 2))
    review_states.predict(shared, first, champion_id)
    watch = Watch.on(page)
    page.goto(f"{product.url}/review?batch_id={batch_id}&sort=oldest")
    page.get_by_role("option", name="T1.png: Waiting, 1 box. hot joint").click()
    page.wait_for_url(f"**&sample={first}")

    _draw(page, (20, 160), (70, 220))
    page.get_by_role("button", name="Save boxes").click()
    expect(page.get_by_role("cell", name="2 boxes (version 2)")).to_be_visible()
    assert len(_of(shared, first).detections) == 2

    _move(page, (120, 100), (140, 110))
    expect(page.get_by_role("button", name="Save boxes")).to_be_enabled()
    page.keyboard.press("s")
    expect(page.get_by_role("cell", name="(version 3)")).to_be_visible()
    moved = [box.box.x_min for box in _of(shared, first).detections]
    assert any(abs(x_min - 100) < 3 for x_min in moved)

    _leave_canvas(page)
    page.keyboard.press("a")
    expect(page.get_by_role("cell", name="approved it")).to_be_visible()
    assert _of(shared, first).status == "approved"
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="T2.png")).to_be_visible()
    page.wait_for_url(f"**&sample={second}")
    assert (watch.errors, watch.foreign) == ([], [])


def test_open_sample_survives_a_reload_and_is_rejected_and_undone_by_key(
    page: Page, product: Product, shared: Store, batch_id: str
) -> None:
    sample_id = review_states.add_image(shared, batch_id, 3)
    watch = Watch.on(page)
    page.goto(f"{product.url}/review?sample={sample_id}")
    expect(page.get_by_role("heading", name="T3.png")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="T3.png")).to_be_visible()
    expect(page.locator("[data-listens]")).to_be_attached()
    page.keyboard.press("r")
    expect(page.get_by_role("cell", name="rejected it")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("cell", name="opened it again, taking back the verdict before")).to_be_visible()
    assert _of(shared, sample_id).status == "pending"
    assert (watch.errors, watch.foreign) == ([], [])


def test_several_are_rejected_at_once_and_stale_ones_are_told(
    page: Page, product: Product, shared: Store, batch_id: str
) -> None:
    ids = [review_states.add_image(shared, batch_id, seed) for seed in (11, 12, 13)]
    watch = Watch.on(page)
    page.goto(f"{product.url}/review?batch_id={batch_id}")
    _select(page, "T11.png")
    _select(page, "T12.png")
    page.get_by_role("button", name="Reject 2 selected").click()
    expect(page.get_by_text("Rejected: 2 images.")).to_be_visible()
    assert [_of(shared, id_).status for id_ in ids] == ["rejected", "rejected", "pending"]
    expect(page.get_by_role("option", name="T11.png: Rejected")).to_be_visible()
    page.get_by_text("Rejected (2)").click()
    page.wait_for_url("**status=rejected*")
    expect(page.get_by_role("option")).to_have_count(2)
    assert watch.errors == []


def _select(page: Page, name: str) -> None:
    tile = page.get_by_role("option", name=name)
    tile.locator(".pick").click()
    expect(tile).to_have_attribute("aria-selected", "true")


def test_what_others_do_appears_and_is_never_overwritten(
    page: Page, product: Product, shared: Store, batch_id: str
) -> None:
    sample_id = review_states.add_image(shared, batch_id, 21)
    page.goto(f"{product.url}/review?sample={sample_id}")
    expect(page.get_by_role("cell", name="posted it with 1 box")).to_be_visible()
    _draw(page, (20, 160), (70, 220))
    expect(page.get_by_role("button", name="Discard")).to_be_visible()
    page.get_by_role("button", name="All images").click()
    expect(page.get_by_text("Save or discard the boxes that you drew")).to_be_visible()

    review_states.correct_elsewhere(shared, sample_id, "eva")
    expect(page.get_by_text("Changed meanwhile. eva corrected the boxes")).to_be_visible()
    page.get_by_role("button", name="Save boxes").click()
    expect(page.get_by_text("eva corrected this image after you had opened it")).to_be_visible()
    assert [box.box.x_min for box in _of(shared, sample_id).detections] == [10]

    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("Changed meanwhile")).to_have_count(0)
    review.give_verdict(
        shared, sample_id, "rejected", seen_revision=_of(shared, sample_id).revision, actor="bo"
    )
    expect(page.get_by_role("cell", name="rejected it")).to_be_visible()


def test_verdict_in_a_stale_tab_is_refused(
    page: Page, chromium: Browser, product: Product, shared: Store, batch_id: str
) -> None:
    sample_id = review_states.add_image(shared, batch_id, 22)
    address = f"{product.url}/review?sample={sample_id}"
    page.goto(address)
    _draw(page, (20, 160), (70, 220))
    expect(page.get_by_role("button", name="Discard")).to_be_visible()
    with open_page(chromium) as second:
        second.goto(address)
        expect(second.locator("[data-listens]")).to_be_attached()
        second.keyboard.press("a")
        expect(second.get_by_role("cell", name="approved it")).to_be_visible()
    expect(page.get_by_text("Changed meanwhile. local approved it")).to_be_visible()
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("local approved this image after you had opened it")).to_be_visible()
    stored = _of(shared, sample_id)
    assert (stored.status, len(stored.detections)) == ("approved", 1)


def test_what_was_put_aside_is_repaired_singly_and_in_bulk(
    page: Page, product: Product, shared: Store, batch_id: str
) -> None:
    reason = {
        "status": "quarantined",
        "reason_code": "box_outside",
        "reason_detail": "Box 1 reaches 30 px out of the image.",
        "reason_repair": "Send absolute pixels.",
    }
    ids = [review_states.add_image(shared, batch_id, seed, **reason) for seed in (31, 32, 33)]
    watch = Watch.on(page)
    page.goto(f"{product.url}/review?view=quarantine")
    expect(page.get_by_text("A box leaves the image: 3 images")).to_be_visible()
    expect(page.get_by_role("img", name="Image T31.png")).to_be_visible()
    page.get_by_role("button", name="Clip boxes", exact=True).first.click()
    expect(page.get_by_text("Through intake once more, then to review: 1 image.")).to_be_visible()
    assert [_of(shared, id_).status for id_ in ids] == ["pending", "quarantined", "quarantined"]
    page.get_by_role("button", name="Clip boxes: all").click()
    expect(page.get_by_text("then to review: 2 images.")).to_be_visible()
    expect(page.get_by_text("Nothing was put aside")).to_be_visible()
    assert watch.errors == []


def test_files_are_looked_at_mapped_and_imported(
    page: Page, product: Product, shared: Store, champion_id: str
) -> None:
    files = [
        {"name": "T41.png", "mimeType": "image/png", "buffer": thermal_file(41)},
        {"name": "T41.txt", "mimeType": "text/plain", "buffer": b"0 0.5 0.5 0.4 0.4\n"},
        {"name": "classes.txt", "mimeType": "text/plain", "buffer": b"hot spot\n"},
    ]
    watch = Watch.on(page)
    page.goto(f"{product.url}/review?view=import")
    page.locator("input[type=file]").set_input_files(files)
    expect(page.get_by_text("YOLO: 1 image with 1 box.")).to_be_visible()
    expect(page.get_by_role("button", name="Import 1 image")).to_be_disabled()
    page.get_by_role("combobox", name="Class of the live model for hot spot").click()
    page.get_by_role("option", name="overload").click()
    page.get_by_role("button", name="Import 1 image").click()
    expect(page.get_by_text("Imported 1 image with 1 box.")).to_be_visible()
    page.get_by_role("button", name="Show this batch").click()
    expect(page.get_by_role("option", name="T41.png: Waiting")).to_be_visible()
    assert watch.errors == []


def test_filtered_selection_is_exported(page: Page, product: Product, shared: Store, batch_id: str) -> None:
    review_states.add_image(shared, batch_id, 51)
    review_states.add_image(shared, batch_id, 52)
    page.goto(f"{product.url}/review?batch_id={batch_id}&text=t51")
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Make YOLO zip").click()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download yolo.zip").click()
    with zipfile.ZipFile(started.value.path()) as archive:
        images = [name for name in archive.namelist() if name.endswith(".png")]
    assert len(images) == 1


def _of(store: Store, sample_id: str) -> Any:
    return get_sample(store, sample_id)


def _at(page: Page, point: tuple[float, float]) -> tuple[float, float]:
    """Where a pixel of the image lies on the screen."""
    canvas = page.locator("svg.canvas").first
    expect(canvas.locator("rect[data-box]").first).to_be_visible()
    canvas.scroll_into_view_if_needed()
    found = canvas.evaluate(
        """(svg, [x, y]) => { const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
        return [at.x, at.y]; }""",
        list(point),
    )
    return found[0], found[1]


def _draw(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*_at(page, start))
    page.mouse.down()
    page.mouse.move(*_at(page, end), steps=4)
    page.mouse.up()


_move = _draw


def _leave_canvas(page: Page) -> None:
    page.get_by_text("History", exact=True).click()
