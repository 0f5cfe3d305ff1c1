"""The Retrain screen in a real browser, while somebody else approves."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.store import Store
from core.store.run_views import list_runs
from core.store.tables import Run
from tests.factories import write_base_set
from tests.samples import add_batch
from tests.ui import review_states
from tests.ui.looking_glass import Watch, low_contrast
from tests.ui.product import Product, open_page

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def waiting(shared: Store) -> list[str]:
    """A base set, a champion, an approved sample, and two that wait for review."""
    write_base_set(shared.settings.base_set_root)
    review_states.add_champion(shared)
    batch_id = add_batch(shared)
    review_states.add_image(shared, batch_id, 1, status="approved")
    return [review_states.add_image(shared, batch_id, seed) for seed in (2, 3)]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with open_page(chromium, viewport={"width": 1440, "height": 1000}) as opened:
        yield opened


def images_row(page: Page) -> list[str]:
    """Images of the feedback, of the replay in the first epoch, and of the base set."""
    return page.get_by_role("row", name="Images").get_by_role("cell").all_inner_texts()[1:]


def expect_images(page: Page, feedback: int, replay: int) -> None:
    expect(page.get_by_role("row", name=f"Images {feedback} {replay} 6")).to_be_visible()
    assert images_row(page) == [str(feedback), str(replay), "6"]


def test_form_is_followed_and_what_others_approve_too(
    page: Page, chromium: Browser, product: Product, waiting: list[str]
) -> None:
    watch = Watch.on(page)
    page.goto(f"{product.url}/retrain")
    expect_images(page, 1, 0)
    slider = page.get_by_role("slider", name="Replay in each epoch")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    expect_images(page, 1, 3)
    expect(page.get_by_role("option", name="Replay: ")).to_have_count(3)
    expect(page.get_by_text("Changed from Balanced: replay in each epoch 0 → 3")).to_be_visible()
    page.wait_for_url("**/retrain?train_replay=3")

    page.evaluate("window.sameDocument = true")
    with open_page(chromium) as other:
        other.goto(f"{product.url}/review?sample={waiting[0]}")
        expect(other.locator("[data-listens]")).to_be_attached()
        other.keyboard.press("a")
        expect(other.get_by_role("cell", name="approved it")).to_be_visible()
    expect_images(page, 2, 3)
    expect(page.get_by_role("option", name="Feedback: ")).to_have_count(2)
    assert page.evaluate("window.sameDocument")

    page.reload()
    expect_images(page, 2, 3)
    expect(page.locator("[data-stale=true]")).to_have_count(0)
    assert (watch.errors, watch.foreign) == ([], [])


def test_feedback_of_the_mix_opens_in_review(page: Page, product: Product, waiting: list[str]) -> None:
    page.goto(f"{product.url}/retrain")
    page.get_by_role("option", name="Feedback: ").first.click()
    page.wait_for_url("**/review?sample=sample-*")


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read(chromium: Browser, product: Product, theme: str) -> None:
    with open_page(chromium, color_scheme=theme, viewport={"width": 1440, "height": 1000}) as page:
        page.goto(f"{product.url}/retrain?epochs=9")
        page.get_by_text("The same by script").click()
        page.get_by_text("Rarely changed").click()
        expect(page.get_by_text("/api/retrain")).to_be_visible()
        expect(page.get_by_role("textbox", name="Device")).to_be_visible()
        # A slider's value is a child of its handle in the page, but drawn above it.
        faults = [text for text in low_contrast(page) if not text.startswith("1.00")]
        assert faults == []


@pytest.mark.usefixtures("waiting")
def test_double_click_starts_one_run_and_opens_it(page: Page, product: Product, shared: Store) -> None:
    watch = Watch.on(page)
    page.goto(f"{product.url}/retrain?preset=quick&epochs=5&replay_strategy=balanced")
    expect(page.get_by_text("Learns 5 epochs of")).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.get_by_role("button", name="Start fine-tune").dblclick()
    page.wait_for_url("**/runs?run=run-*")
    (run,) = list_runs(shared)
    expect(page.get_by_role("heading", name=f"Run {run.id[-6:]}")).to_be_visible()
    with shared.database.read() as session:
        asked = session.get_one(Run, run.id).request
    assert (asked["epochs"], asked["train_replay"], asked["replay_strategy"]) == (5, 50, "balanced")

    page.goto(f"{product.url}/retrain")
    expect(page.get_by_text("Place 2 in the queue")).to_be_visible()
    expect(page.get_by_text("learns from what was approved already and has not ended")).to_be_visible()
    assert (watch.errors, watch.foreign) == ([], [])
