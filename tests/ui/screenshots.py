"""Takes the pictures of the documentation: `python -m tests.ui.screenshots`, or `make screenshots`.

Starts the real product on demo data in a temporary home, runs a demo fine-tune, and saves each screen in
both themes to docs/images.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from core.config import CHECKOUT
from tests.processes import clean_environment
from tests.ui.product import Product, browser, whole_product

IMAGES = CHECKOUT / "docs" / "images"
SIZE = {"width": 1440, "height": 900}
THEMES = ("light", "dark")
WAIT_MS = 30_000
RUN_MS = 600_000
HALF_WAY = re.compile("up to epoch [3-9]")

Pages = dict[str, Page]


def main() -> None:
    """Prepares the demo, then walks through the product."""
    with tempfile.TemporaryDirectory(prefix="tms-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        environment = clean_environment() | {"TMS_HOME": str(home)}
        subprocess.run([sys.executable, "-m", "core", "prepare"], cwd=CHECKOUT, env=environment, check=True)
        with whole_product(home) as product, browser() as chromium, _pages(chromium) as pages:
            _walk(product, pages)


@contextmanager
def _pages(chromium: Browser) -> Iterator[Pages]:
    contexts = {
        theme: chromium.new_context(color_scheme=theme, viewport=SIZE, timezone_id="Europe/Berlin")  # type: ignore[arg-type]
        for theme in THEMES
    }
    yield {theme: context.new_page() for theme, context in contexts.items()}
    for context in contexts.values():
        context.close()


def _walk(product: Product, pages: Pages) -> None:
    for theme, page in pages.items():
        page.goto(product.url)
        page.get_by_role("button", name="Start a demo fine-tune").click(timeout=WAIT_MS)
        _save("run-live", theme, page.get_by_role("img", name=HALF_WAY))
        _save("run-result", theme, page.get_by_role("heading", name="Weights"))
    for theme, page in pages.items():
        page.goto(f"{product.url}/runs")
        _save("runs", theme, page.get_by_text("Published"))
        page.goto(f"{product.url}/review")
        _save("review", theme, page.get_by_role("option").first)
        page.goto(f"{product.url}/retrain?train_replay=24")
        _save("retrain", theme, page.get_by_text("A look into the first epoch"))
        page.goto(f"{product.url}/compare")
        page.get_by_role("button", name="Open comparison").click(timeout=WAIT_MS)
        _save("compare", theme, page.get_by_role("heading", name="What each of them sees"))
        page.goto(f"{product.url}/models")
        _save("models", theme, page.get_by_text("Nothing in it is ever changed"))
        page.goto(f"{product.url}/system")
        _save("system", theme, page.get_by_text("This host"))
        page.goto(product.url)
        _save("overview", theme, page.get_by_text("Worker on"))


def _save(name: str, theme: str, sign: Locator) -> None:
    """Take a picture once the sign that the screen is complete is there and nothing is being drawn."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    expect(sign).to_be_visible(timeout=RUN_MS)
    page = sign.page
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("[data-stale=true]")).to_have_count(0)
    page.screenshot(path=IMAGES / f"{name}-{theme}.png", animations="disabled")


if __name__ == "__main__":
    main()
