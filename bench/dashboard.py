"""How fast the dashboard answers: `python -m bench.dashboard`.

On 10,000 samples, 1,000 runs and 200 checkpoints: how long the script of each screen takes, how soon the
first visitor of a server sees the Overview, how soon the next image of Review is there after a key, how busy
a live run keeps the browser, and by how much the server grows over 1,000 page views.
"""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import psutil
from playwright.sync_api import Browser, Page
from streamlit.testing.v1 import AppTest

from bench.dashboard_store import make_store
from bench.report import conclude
from core.config import CHECKOUT, MIB, Settings, get_settings
from core.store import Store
from tests.ui import states
from tests.ui.product import PATIENCE_MS, Product, browser, dashboard, open_page

SAMPLES, RUNS, CHECKPOINTS, PICTURES, VIEWS, REPEATS = 10_000, 1_000, 200, 60, 1_000, 40
MOST_SCRIPT_MS, MOST_GROWTH_MIB, MOST_PAINT_S, MOST_NEXT_S, MOST_BUSY = 300.0, 20.0, 2.0, 0.4, 0.15
WARM_UP_VIEWS, NEXT_IMAGES, LIVE_S, STEP_EVERY_S = 30, 20, 20.0, 0.25
SCREENS = sorted(path.stem for path in (CHECKOUT / "pages").glob("[!_]*.py"))


def script_ms(home: Path, repeats: int) -> dict[str, float]:
    """95th percentile of the time that each screen's script takes, in this process, without a browser."""
    os.environ |= {"TMS_HOME": str(home), "TMS_WORKER_AUTOSTART": "0"}
    get_settings.cache_clear()
    # Each script says that no browser is there, and whoever keeps the files that those weights have none.
    logging.disable(logging.CRITICAL)
    return {screen: quantiles(_reruns_ms(screen, repeats), n=20)[-1] for screen in SCREENS}


def _reruns_ms(screen: str, repeats: int) -> Iterator[float]:
    app = AppTest.from_file(CHECKOUT / "app.py", default_timeout=PATIENCE_MS / 1000).run()
    app.switch_page(f"pages/{screen}.py").run()
    for _ in range(repeats):
        started_s = time.perf_counter()
        app.run()
        yield (time.perf_counter() - started_s) * 1e3
        assert not app.exception


def first_paint_s(page: Page, product: Product) -> float:
    """Seconds from the first request that a server gets until the Overview shows the champion."""
    started_s = time.perf_counter()
    page.goto(product.url)
    page.get_by_text("is live since").wait_for()
    return time.perf_counter() - started_s


def next_image_s(page: Page, product: Product, batch_id: str) -> float:
    """Median seconds from a key until the next image is there."""
    page.goto(f"{product.url}/review?batch_id={batch_id}&sort=oldest")
    page.get_by_role("option").first.click()
    _wait_for_image(page, 1)
    times_s = []
    for number in range(2, NEXT_IMAGES + 2):
        started_s = time.perf_counter()
        page.keyboard.press("n")
        _wait_for_image(page, number)
        times_s.append(time.perf_counter() - started_s)
    return median(times_s)


def _wait_for_image(page: Page, number: int) -> None:
    page.get_by_role("heading", name=f"T{number}.png", exact=True).wait_for()


def busy_share(page: Page, product: Product, store: Store) -> float:
    """Share of its time that the browser's main thread works while a run tells of its steps."""
    run_id = states.train_run(store, epochs_done=1)
    page.goto(f"{product.url}/runs?run={run_id}")
    page.get_by_text("Training loss").first.wait_for()
    ending = threading.Event()
    teller = threading.Thread(target=_tell_steps, args=(store, run_id, ending))
    teller.start()
    try:
        return _busy_share(page)
    finally:
        ending.set()
        teller.join()


def _tell_steps(store: Store, run_id: str, ending: threading.Event) -> None:
    step = states.STEPS_PER_EPOCH
    while not ending.wait(STEP_EVERY_S):
        step += 1
        states.tell_step(store, run_id, 2, step, 1_000)
        states.tell_load(store, run_id)


def _busy_share(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before = _metrics(session.send("Performance.getMetrics"))
    page.wait_for_timeout(LIVE_S * 1e3)
    after = _metrics(session.send("Performance.getMetrics"))
    return (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])


def _metrics(answer: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    return {str(one["name"]): one["value"] for one in answer["metrics"]}


def growth_mib(page: Page, product: Product, views: int) -> float:
    """By how much the server's memory grows over so many page views, each a session of its own."""
    (server,) = [one for one in psutil.Process().children() if "streamlit" in one.cmdline()]
    _view(page, product, WARM_UP_VIEWS)
    before_bytes = server.memory_info().rss
    _view(page, product, views)
    return (server.memory_info().rss - before_bytes) / MIB


def _view(page: Page, product: Product, views: int) -> None:
    for number in range(views):
        page.goto(f"{product.url}/{SCREENS[number % len(SCREENS)]}")
        page.get_by_role("heading", level=1).first.wait_for()


def in_browser(home: Path, chromium: Browser, batch_id: str, views: int) -> dict[str, float]:
    """All figures that take a server and a browser."""
    with (
        dashboard(home) as product,
        Store.open(Settings(_env_file=None, home=home)) as store,
        open_page(chromium, viewport={"width": 1440, "height": 900}) as page,
    ):
        return {
            "first_paint_s": round(first_paint_s(page, product), 2),
            "next_image_s": round(next_image_s(page, product, batch_id), 3),
            "busy_share": round(busy_share(page, product, store), 3),
            "growth_mib": round(growth_mib(page, product, views), 1),
        }


def main() -> int:
    """Measure, print, and say whether the numbers were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--checkpoints", type=int, default=CHECKPOINTS)
    parser.add_argument("--views", type=int, default=VIEWS)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each screen's script")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="tms-", ignore_cleanup_errors=True) as folder, browser() as chromium:
        home = Path(folder)
        batch_id = make_store(
            Settings(_env_file=None, home=home),
            samples=asked.samples,
            runs=asked.runs,
            checkpoints=asked.checkpoints,
            pictures=PICTURES,
        )
        shown = in_browser(home, chromium, batch_id, asked.views)
        scripts = script_ms(home, asked.repeats)
    limits = {
        "first_paint_s": MOST_PAINT_S,
        "next_image_s": MOST_NEXT_S,
        "busy_share": MOST_BUSY,
        "growth_mib": MOST_GROWTH_MIB,
    }
    figures = shown | {f"script_p95_ms_{screen}": round(ms, 1) for screen, ms in scripts.items()}
    most = limits | {f"script_p95_ms_{screen}": MOST_SCRIPT_MS for screen in scripts}
    rows = [{"figure": name, "measured": value, "at most": most[name]} for name, value in figures.items()]
    return conclude("dashboard", rows, ok=all(figures[name] <= most[name] for name in most), figures=figures)


if __name__ == "__main__":
    sys.exit(main())
