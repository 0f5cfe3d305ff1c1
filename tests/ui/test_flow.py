"""The whole product in a browser: one click starts a real fine-tune, which is watched to its verdict."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.config import Settings
from core.store import Store, run_views
from tests.processes import prepare_small_demo
from tests.ui.looking_glass import Watch
from tests.ui.product import Product, open_page, whole_product

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.e2e, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    home = tmp_path_factory.mktemp("flow")
    prepare_small_demo(home)
    with whole_product(home) as running:
        yield running


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with open_page(chromium, viewport={"width": 1440, "height": 900}) as opened:
        yield opened


def test_demo_fine_tune_is_started_watched_and_judged(page: Page, product: Product) -> None:
    watch = Watch.on(page)
    page.goto(product.url)
    page.get_by_role("button", name="Start a demo fine-tune").click()
    page.wait_for_url("**/runs?run=*")
    assert page.url.endswith(_only_run(product.home))

    expect(page.get_by_role("img", name="Training loss by step")).to_be_visible()
    expect(page.get_by_text("Epoch", exact=True)).to_be_visible()

    expect(page.get_by_role("heading", name="Old against new")).to_be_visible()
    verdict = page.get_by_test_id("stAlert")
    expect(verdict).to_contain_text("base test images")
    expect(page.get_by_role("row", name="mAP50-95").first).to_be_visible()
    expect(page.get_by_role("row", name="Feedback that it learned from 12")).to_be_visible()

    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Overview").click()
    expect(page.get_by_text("is live since")).to_be_visible()
    assert watch.errors == []
    assert watch.foreign == []


def _only_run(home: Path) -> str:
    with Store.open(Settings(home=home)) as store:
        (run,) = run_views.list_runs(store)
    return run.id
