"""The Compare screen in a real browser: from a run's result over a pin to a promotion."""

import pytest
from playwright.sync_api import Browser, Page, expect

from core.dataset import frozen_sets, pins
from core.registry import publish
from core.store import Store
from tests.ui import compare_states
from tests.ui.compare_states import Compared
from tests.ui.looking_glass import Watch, low_contrast
from tests.ui.product import Product, dashboard, open_page

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.xdist_group("browser")]

SIZE = {"width": 1440, "height": 1000}


@pytest.fixture(scope="module")
def compared(shared: Store) -> Compared:
    return compare_states.judged_run(shared)


def _address(product: Product, compared: Compared, more: str = "") -> str:
    pair = f"candidate={compared.candidate_id}&baseline={compared.baseline_id}"
    return f"{product.url}/compare?{pair}{more}"


def test_from_a_result_over_a_pin_to_a_promotion(store: Store, chromium: Browser) -> None:
    compared = compare_states.judged_run(store)
    with dashboard(store.settings.home) as product, open_page(chromium, viewport=SIZE) as page:
        watch = Watch.on(page)
        page.goto(f"{product.url}/runs?run={compared.run_id}")
        page.get_by_role("link", name="Compare image by image").click()
        page.wait_for_url(f"**/compare?candidate={compared.candidate_id}&baseline={compared.baseline_id}")
        expect(page.get_by_test_id("stAlert")).to_contain_text("cannot tell whether")
        expect(page.get_by_role("img", name="Change of ")).to_be_visible()

        page.get_by_text("Training images that show the same").click()
        # Before they are drawn, the buttons below them still move.
        expect(page.get_by_role("img", name="A training image with")).to_have_count(2)
        page.get_by_role("button", name="Pin to replay").first.click()
        expect(page.get_by_role("button", name="Unpin")).to_be_visible()
        assert len(pins.pins(store)) == 1

        page.get_by_role("button", name="Promote").click()
        page.get_by_label("Why").fill("finds the last one")
        page.get_by_role("button", name="Promote it").click()
        expect(page.get_by_role("button", name="Promote")).to_have_count(0)
        page.reload()
        expect(page.get_by_role("heading", name=f"ckpt-{compared.candidate_id[-6:]} against")).to_be_visible()
    live = publish.champion(store)
    assert live is not None
    assert live.id == compared.candidate_id
    assert (watch.errors, watch.foreign) == ([], [])


def test_the_line_is_moved_by_key_and_by_pointer(
    chromium: Browser, product: Product, compared: Compared
) -> None:
    with open_page(chromium, viewport=SIZE) as page:
        page.goto(_address(product, compared))
        image = page.get_by_role("img", name="old sees 1, new sees 0 of 1 boxes")
        expect(image).to_be_visible()
        line = page.get_by_role("slider", name="Line between old on its left and new on its right")
        line.focus()
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
        expect(line).to_have_value("45")
        assert _shown_share(page) == pytest.approx(0.45)
        box = image.bounding_box()
        assert box is not None
        image.hover()
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.999, box["y"] + box["height"] / 2)
        page.mouse.up()
        assert _shown_share(page) > 0.7


def _shown_share(page: Page) -> float:
    """Share of the image's width on which old is shown."""
    width = page.locator("[data-side='0']").get_attribute("width")
    return float(width or 0) / compare_states.SIDE_PX


def test_an_image_that_is_opened_from_the_list_survives_a_reload(
    chromium: Browser, product: Product, compared: Compared
) -> None:
    mistaken = compared.images[1]
    with open_page(chromium, viewport=SIZE) as page:
        watch = Watch.on(page)
        page.goto(_address(product, compared))
        card = page.get_by_role("button", name=mistaken.path.name)
        card.click()
        page.wait_for_url(f"**&image={mistaken.sha256}")
        shown = page.get_by_role("img", name=f"{mistaken.path.name}: old sees 1, new sees 1 of 1 boxes")
        expect(shown).to_be_in_viewport()
        page.reload()
        expect(shown).to_be_visible()
        assert watch.errors == []


def test_what_somebody_else_pins_appears(
    chromium: Browser, product: Product, shared: Store, compared: Compared
) -> None:
    with open_page(chromium, viewport=SIZE) as page:
        page.goto(_address(product, compared))
        page.get_by_text("Training images that show the same").click()
        expect(page.get_by_role("button", name="Pin to replay")).to_have_count(2)
        page.evaluate("window.sameDocument = true")
        train = frozen_sets.base_set(shared).train.images
        offered = next(image.sha256 for image in train if image.labels[0].class_id == 0)
        pins.pin(shared, offered, actor="ben")
        expect(page.get_by_role("button", name="Unpin")).to_have_count(1)
        pins.unpin(shared, offered)
        expect(page.get_by_role("button", name="Unpin")).to_have_count(0)
        assert page.evaluate("window.sameDocument")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", ["start", "pair"])
def test_it_is_readable_and_asks_nobody_else(
    chromium: Browser, product: Product, compared: Compared, theme: str, screen: str
) -> None:
    address = _address(product, compared) if screen == "pair" else f"{product.url}/compare"
    sign = "What each of them sees" if screen == "pair" else "Compared lately"
    with open_page(chromium, color_scheme=theme, viewport={"width": 1440, "height": 3600}) as page:
        watch = Watch.on(page)
        page.goto(address)
        expect(page.get_by_role("heading", name=sign)).to_be_visible()
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
        assert low_contrast(page) == []
        assert (watch.errors, watch.foreign) == ([], [])
