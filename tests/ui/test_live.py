"""The screens in a real browser, on a store whose runs move on while somebody looks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.config import Settings
from core.registry import publish
from core.store import Store, claims, run_views
from tests.ui import states
from tests.ui.looking_glass import Watch, low_contrast
from tests.ui.product import Product, dashboard, open_page

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def champion_id(shared: Store) -> str:
    baseline = states.add_checkpoint(shared)
    states.promote(shared, baseline)
    return baseline


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with open_page(chromium, viewport={"width": 1440, "height": 900}, timezone_id="Europe/Vienna") as opened:
        yield opened


def test_deep_link_to_a_cold_server_opens_the_run_in_its_frame(
    page: Page, product: Product, shared: Store
) -> None:
    """Must stay first: only the first request of all finds the server cold."""
    run_id = states.train_run(shared)
    page.goto(f"{product.url}/runs?run={run_id}")
    expect(page.get_by_role("heading", name=f"Run {run_id[-6:]}")).to_be_visible()
    navigation = page.get_by_test_id("stSidebarNav")
    expect(navigation.get_by_role("link", name="Overview")).to_be_visible()
    expect(navigation.get_by_role("link")).to_have_count(7)


def test_run_is_followed_live_to_its_verdict(
    page: Page, product: Product, shared: Store, champion_id: str
) -> None:
    watch = Watch.on(page)
    run_id = states.train_run(shared, epochs_done=1)
    page.goto(f"{product.url}/runs?run={run_id}")
    _wait_for_steps(page, states.STEPS_PER_EPOCH)
    page.evaluate("window.sameDocument = true")

    states.tell_epoch(shared, run_id, 2)
    _wait_for_steps(page, 2 * states.STEPS_PER_EPOCH)
    expect(page.get_by_text("Epoch 2 of 4, step 24 of 48")).to_be_visible()

    _wait_for_refreshes(watch, 4)
    run_fragment = max(watch.fragments, key=watch.fragments.count)

    states.finish_run(shared, run_id, champion_id)
    expect(page.get_by_text("The new weights passed and are live.")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel and discard")).to_have_count(0)
    expect(page.get_by_text("Last sign of life")).to_have_count(0)
    assert page.evaluate("window.sameDocument")
    assert watch.errors == []
    expect(page.locator("[data-stale=true]")).to_have_count(0)
    _wait_until_the_run_stops_asking(watch, run_fragment)


def _wait_for_steps(page: Page, steps: int) -> None:
    chart = page.get_by_role("img", name=f"Training loss by step, up to step {steps}.")
    expect(chart).to_be_visible()


def _wait_until_the_run_stops_asking(watch: Watch, run_fragment: str) -> None:
    """The sidebar asks every 5 s; a run that still asked every second would come between."""
    watch.fragments.clear()
    while len(watch.fragments) < 2 or run_fragment in watch.fragments[-2:]:
        watch.socket.wait_for_event("framesent")


def test_chart_takes_new_steps_without_being_mounted_again(
    page: Page, product: Product, shared: Store
) -> None:
    run_id = states.train_run(shared, epochs_done=1)
    page.goto(f"{product.url}/runs?run={run_id}")
    _wait_for_steps(page, states.STEPS_PER_EPOCH)
    page.locator("canvas").first.evaluate("canvas => { canvas.isTheFirst = true }")
    states.tell_epoch(shared, run_id, 2)
    _wait_for_steps(page, 2 * states.STEPS_PER_EPOCH)
    assert page.locator("canvas").first.evaluate("canvas => canvas.isTheFirst")


def test_curve_is_sent_again_only_when_it_grew(page: Page, product: Product, shared: Store) -> None:
    watch = Watch.on(page)
    run_id = states.train_run(shared, epochs_done=0)
    for step in range(1, 401):
        states.tell_step(shared, run_id, 1, step, 400)
    page.goto(f"{product.url}/runs?run={run_id}")
    _wait_for_steps(page, 400)
    whole = max(watch.received_bytes)
    _wait_for_refreshes(watch, 2)
    watch.received_bytes.clear()
    _wait_for_refreshes(watch, 4)
    assert max(watch.received_bytes) < whole / 4


def _wait_for_refreshes(watch: Watch, number: int) -> None:
    watch.fragments.clear()
    while len(watch.fragments) < number:
        watch.socket.wait_for_event("framesent")


def test_stop_and_cancel_are_asked_for_and_seen_through(page: Page, product: Product, shared: Store) -> None:
    watch = Watch.on(page)
    run_id = states.train_run(shared)
    page.goto(f"{product.url}/runs?run={run_id}")
    stop = page.get_by_role("button", name="Stop and keep best")
    stop.click()
    expect(page.get_by_text("Stopping after this batch")).to_be_visible()
    expect(stop).to_be_disabled()
    assert run_views.get_run(shared, run_id).wanted == "stop"

    cancel = page.get_by_role("button", name="Cancel and discard")
    cancel.click()
    expect(page.get_by_text("the weights of 2 epochs, for good")).to_be_visible()
    _wait_for_refreshes(watch, 3)
    page.get_by_role("button", name="Cancel this run").click()
    expect(page.get_by_text("Cancelling after this batch")).to_be_visible()
    expect(page.get_by_text("for good")).to_be_hidden()
    expect(cancel).to_be_disabled()
    assert run_views.get_run(shared, run_id).wanted == "cancel"

    claims.end_cancelled(shared, states.claim_of(shared, run_id))
    expect(page.get_by_text("This run was cancelled by local")).to_be_visible()
    assert watch.errors == []


def test_cancel_that_is_thought_over_changes_nothing(page: Page, product: Product, shared: Store) -> None:
    run_id = states.train_run(shared)
    page.goto(f"{product.url}/runs?run={run_id}")
    page.get_by_role("button", name="Cancel and discard").click()
    expect(page.get_by_text("Cancel this run?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Cancel this run?")).to_be_hidden()
    assert run_views.get_run(shared, run_id).wanted is None


@pytest.mark.usefixtures("champion_id")
def test_failed_run_is_continued_once_by_a_double_click(page: Page, product: Product, shared: Store) -> None:
    live = publish.champion(shared)
    assert live is not None
    failed = states.fail_training(shared, live.id)
    page.goto(f"{product.url}/runs?run={failed}")
    page.get_by_role("button", name="Continue after epoch 2").dblclick()
    expect(page.get_by_text("Goes on behind epoch 2 as soon as a worker is free.")).to_be_visible()
    _wait_for_steps(page, 2 * states.STEPS_PER_EPOCH)
    (again,) = [run for run in run_views.list_runs(shared) if run.continues_id == failed]
    assert page.url.endswith(again.id)
    page.get_by_role("link", name=f"run-{failed[-6:]}").click()
    page.wait_for_url(f"**/runs?run={failed}")
    expect(page.get_by_role("heading", name=f"Run {failed[-6:]}")).to_be_visible()


def test_run_goes_on_while_only_the_dashboard_is_open(page: Page, tmp_path: Path) -> None:
    """Nobody calls for a worker here: the run is put into the store as another host would."""
    settings = {"TMS_WORKER_AUTOSTART": "1", "TMS_WARM_RUNNER": "0", "TMS_PRETRAINED_WEIGHTS": "missing.pt"}
    with dashboard(tmp_path, **settings) as product, Store.open(Settings(home=tmp_path)) as store:
        run_id = states.queue_run(store)
        page.goto(f"{product.url}/runs?run={run_id}")
        failed = page.get_by_text("The baseline weights are missing")
        expect(failed).to_be_visible()
        expect(page.get_by_text("What to try")).to_be_visible()
        expect(page.get_by_text("Last lines of the log")).to_be_visible()
        expect(page.get_by_role("button", name="Start again")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", ["overview", "list", "training", "succeeded", "failed", "unknown"])
def test_screen_is_readable_and_asks_nobody_else(
    chromium: Browser, product: Product, shared: Store, champion_id: str, theme: str, screen: str
) -> None:
    address, sign = _address_of(screen, shared, champion_id)
    with open_page(chromium, color_scheme=theme, viewport={"width": 1440, "height": 2400}) as page:
        watch = Watch.on(page)
        page.goto(product.url + address)
        expect(page.get_by_text(sign).first).to_be_visible()
        page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
        assert low_contrast(page) == []
        assert watch.errors == []
        assert watch.foreign == []


def _address_of(screen: str, store: Store, champion_id: str) -> tuple[str, str]:
    attack = "![x](https://evil.example/x.png)<img src=https://evil.example/y.png>"
    told = {"exception": attack, "try": [attack, attack], "last_log_lines": [attack]}
    error = {"code": "training_failed", "title": "Training failed", "detail": attack, "extra": told}
    if screen == "training":
        return f"/runs?run={states.train_run(store, note=attack)}", "Training loss"
    if screen == "succeeded":
        return (
            f"/runs?run={states.succeed_run(store, champion_id, quarantined=[PUT_ASIDE])}",
            "Old against new",
        )
    if screen == "failed":
        return f"/runs?run={states.fail_run(store, error)}", "Training failed"
    known = {
        "overview": ("/", "Lately"),
        "list": ("/runs", "Published"),
        "unknown": ("/runs?run=x", "There is no run"),
    }
    return known[screen]


PUT_ASIDE = {
    "index": 3,
    "image_url": "https://images.example/3.png",
    "sample_id": None,
    "code": "box_outside",
    "detail": "x_max 900 is beyond the width of 640 px",
    "repair": "Send pixels.",
}


def test_keyboard_reaches_the_demo_button(page: Page, product: Product) -> None:
    page.goto(product.url)
    button = page.get_by_role("button", name="Start a demo fine-tune")
    expect(button).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            return
    pytest.fail("forty tabs did not reach the button")
