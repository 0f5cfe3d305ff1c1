"""Every screen under the rules of axe-core, in both themes, and by keyboard alone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from core.store import Store, keys
from tests.samples import add_batch
from tests.ui import review_states, states
from tests.ui.product import Product, open_page

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.xdist_group("browser")]

SERIOUS = ("serious", "critical")
# Streamlit writes the value of a slider in the theme's primary colour, which has to carry white text on
# buttons too: it has 3.8 to 1 on the dark background, and no theme can change one without the other.
_HELD_TO_THE_RULES = {"include": ["html"], "exclude": ['[data-testid="stSliderThumbValue"]']}
VIEWPORT = {"width": 1440, "height": 1600}


@pytest.fixture(scope="module")
def full(product: Product, shared: Store) -> dict[str, str]:
    """A store with something of everything; addresses below the screens by what they show."""
    baseline = review_states.add_champion(shared)
    succeeded = states.succeed_run(shared, baseline)
    failure = {"code": "disk_full", "title": "The disk is full", "detail": "No space.", "extra": {}}
    failed = states.fail_run(shared, failure)
    states.add_worker(shared)
    keys.create_key(shared, "feed-1", "feed")
    folder = shared.settings.run_folder(failed)
    for run_id in (succeeded, failed):
        shared.settings.run_folder(run_id).mkdir(parents=True)
    (folder / "candidate.pt").write_bytes(b"weights")
    return {
        "a run at work": f"/runs?run={states.train_run(shared)}",
        "a run that succeeded": f"/runs?run={succeeded}",
        "a run that failed": f"/runs?run={failed}",
        "a model": f"/models?checkpoint={baseline}",
        "a sample": f"/review?sample={_add_samples(shared, baseline)}",
        "quarantine": "/review?view=quarantine",
        "import": "/review?view=import",
        "storage": "/system?view=storage",
        "keys": "/system?view=keys",
        "settings": "/system?view=settings",
        "diagnostics": "/system?view=diagnostics",
    }


def _add_samples(store: Store, champion_id: str) -> str:
    batch_id = add_batch(store)
    first, *_ = [review_states.add_image(store, batch_id, seed) for seed in range(1, 5)]
    review_states.predict(store, first, champion_id)
    reason = {"reason_code": "box_outside", "reason_detail": "Too far out.", "reason_repair": "Send pixels."}
    review_states.add_image(store, batch_id, 9, status="quarantined", **reason)
    return first


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_screen_of_the_navigation_keeps_the_rules(
    chromium: Browser, product: Product, full: dict[str, str], theme: str
) -> None:
    with open_page(chromium, color_scheme=theme, viewport=VIEWPORT) as page:
        page.goto(product.url)
        links = page.get_by_test_id("stSidebarNav").get_by_role("link")
        expect(links).not_to_have_count(0)
        addresses = [str(link.get_attribute("href")) for link in links.all()]
        assert len(addresses) >= 5
        assert _violations(page, product, [f"/{one.rpartition('/')[2]}" for one in addresses]) == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_lies_below_the_screens_keeps_the_rules(
    chromium: Browser, product: Product, full: dict[str, str], theme: str
) -> None:
    with open_page(chromium, color_scheme=theme, viewport=VIEWPORT) as page:
        assert _violations(page, product, list(full.values())) == {}


def test_what_opens_over_a_screen_keeps_the_rules(
    chromium: Browser, product: Product, full: dict[str, str]
) -> None:
    with open_page(chromium, viewport=VIEWPORT) as page:
        page.goto(product.url + full["keys"])
        page.get_by_role("button", name="Revoke").first.click()
        expect(page.get_by_text("Whoever uses it is refused")).to_be_visible()
        assert _of_screen(page) == []
        page.keyboard.press("Escape")
        page.get_by_label("Whose key").fill("feed-2")
        page.get_by_role("button", name="Make key").click()
        expect(page.get_by_role("dialog").get_by_role("button", name="Save as a file")).to_be_visible()
        assert _of_screen(page) == []


@pytest.mark.parametrize(
    "screen",
    ["/", "/runs", "a run at work", "a run that failed", "/models", "a model", "/system", "storage", "keys"],
)
def test_every_action_is_reached_by_tab(
    chromium: Browser, product: Product, full: dict[str, str], screen: str
) -> None:
    with open_page(chromium, viewport=VIEWPORT) as page:
        page.goto(product.url + full.get(screen, screen))
        _wait_until_drawn(page)
        action_count = page.evaluate(_WATCH_FOCUS)
        assert action_count >= 2
        for _ in range(2 * action_count + 20):
            page.keyboard.press("Tab")
        assert page.evaluate(_NOT_REACHED) == []


# Of the radio buttons of a group Tab reaches the one that is chosen, and the arrow keys the others. The arrow
# in Streamlit's choices opens what the field beside it opens too. What only shows itself to a pointer that
# comes near is Streamlit's: the menu of the sidebar, and buttons that copy a text.
_WATCH_FOCUS = """() => {
  window.reached = new Set();
  document.addEventListener('focusin', event => window.reached.add(event.target));
  window.actions = () => [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, [role=button], [role=combobox], [role=switch]'
  )].filter(element => element.checkVisibility({visibilityProperty: true, opacityProperty: true})
    && !element.disabled && element.getAttribute('aria-haspopup') !== 'listbox');
  return window.actions().length;
}"""
_NOT_REACHED = """() => {
  const groups = new Set([...window.reached].filter(one => one.type === 'radio').map(one => one.name));
  const isReached = one => window.reached.has(one) || (one.type === 'radio' && groups.has(one.name));
  return window.actions().filter(one => !isReached(one)).map(one => one.outerHTML.slice(0, 300));
}"""


def _violations(page: Page, product: Product, addresses: list[str]) -> dict[str, list[str]]:
    """What breaks the rules seriously, by address."""
    found = {}
    for address in addresses:
        page.goto(product.url + address)
        _wait_until_drawn(page)
        found[address] = _of_screen(page)
    return {address: broken for address, broken in found.items() if broken}


def _wait_until_drawn(page: Page) -> None:
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def _of_screen(page: Page) -> list[str]:
    violations = Axe().run(page, context=_HELD_TO_THE_RULES).response["violations"]
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']} {node['html'][:300]}"
        for violation in violations
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]
