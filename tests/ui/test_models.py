"""The Models screen: what is live, the ledger, and the ways forth and back."""

import pytest
from playwright.sync_api import Browser, expect

from core.registry import publish
from core.store import Store
from tests.ui import states
from tests.ui.conftest import Screen, words_of
from tests.ui.looking_glass import Watch
from tests.ui.product import dashboard, open_page
from tests.unit.registry.factories import judged, promote, proven


@pytest.fixture
def champions(store: Store) -> tuple[str, str]:
    """Two that were live; the second is."""
    first, second = proven(store, b"first"), proven(store, b"second")
    promote(store, first, None)
    promote(store, second, first.id)
    return first.id, second.id


def live(store: Store) -> str | None:
    champion = publish.champion(store)
    return champion.id if champion else None


def tail(checkpoint_id: str) -> str:
    return f"ckpt-{checkpoint_id[-6:]}"


def test_without_a_champion_it_says_how_to_get_one(show: Screen) -> None:
    assert "The first fine-tune makes the baseline the champion" in words_of(show("models"))


def test_what_is_live_and_all_that_was_is_told(show: Screen, champions: tuple[str, str]) -> None:
    said = words_of(show("models"))
    assert f"{tail(champions[1])} since" in said.replace("*", "")
    assert f"promoted {tail(champions[1])} instead of {tail(champions[0])}: better" in said.replace("*", "")


def test_it_is_rolled_back_with_a_reason_and_not_without(
    store: Store, show: Screen, champions: tuple[str, str]
) -> None:
    first, second = champions
    app = show("models")
    app.button(key=f"back_for_sure_{first}").click().run()
    assert live(store) == second
    assert "reason" in app.error[0].value
    app.text_input(key=f"back_{first}").set_value("misses loose joints").run()
    app.button(key=f"back_for_sure_{first}").click().run()
    assert not app.exception
    assert live(store) == first
    assert "rolled back to" in words_of(app)
    assert "misses loose joints" in words_of(app)


def test_who_saw_another_champion_changes_nothing(
    store: Store, show: Screen, champions: tuple[str, str]
) -> None:
    first, second = champions
    app = show("models", checkpoint=first)
    third = proven(store, b"third")
    promote(store, third, second)
    app.text_input(key=f"back_{first}").set_value("worse")
    app.button(key=f"back_for_sure_{first}").click().run()
    assert live(store) == third.id
    assert "champion_changed" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize("verdict", ["pass", "not_enough_evidence"])
def test_a_candidate_goes_live(store: Store, show: Screen, champions: tuple[str, str], verdict: str) -> None:
    candidate = judged(store, b"candidate", verdict)  # type: ignore[arg-type]
    app = show("models", checkpoint=candidate.id)
    app.text_input(key="promote_why").set_value("finds more")
    next(one for one in app.button if one.label == "Promote it").click().run()
    assert not app.exception
    assert live(store) == candidate.id
    assert "live" in words_of(app)


def test_what_got_worse_needs_the_word(store: Store, show: Screen, champions: tuple[str, str]) -> None:
    candidate = judged(store, b"worse", "fail")
    app = show("models", checkpoint=candidate.id)
    assert "got worse" in words_of(app)
    app.text_input(key="promote_why").set_value("the test set is wrong")
    next(one for one in app.button if one.label == "Promote it").click().run()
    assert live(store) == champions[1]
    assert "override" in app.error[0].value
    app.text_input(key="word").set_value("override")
    next(one for one in app.button if one.label == "Promote it").click().run()
    assert live(store) == candidate.id


@pytest.mark.ui
@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_one_click_and_one_confirmation_bring_the_champion_of_before_back(
    store: Store, champions: tuple[str, str], chromium: Browser
) -> None:
    first, second = champions
    with dashboard(store.settings.home) as product, open_page(chromium) as page:
        watch = Watch.on(page)
        page.goto(f"{product.url}/models")
        page.get_by_role("button", name=f"Roll back to {tail(first)}").click()
        expect(page.get_by_text(f"It takes the place of {tail(second)} at once")).to_be_visible()
        page.get_by_label("Why").fill("misses loose joints")
        page.get_by_role("button", name="Roll back", exact=True).click()
        expect(page.get_by_text(f"rolled back to {tail(first)}")).to_be_visible()
        expect(page.get_by_text("It is the first champion")).to_be_visible()
    assert live(store) == first
    assert (watch.errors, watch.foreign) == ([], [])


@pytest.mark.ui
@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_a_candidate_that_is_opened_from_the_list_is_promoted_there(
    store: Store, champions: tuple[str, str], chromium: Browser
) -> None:
    candidate = judged(store, b"candidate", "not_enough_evidence")
    with dashboard(store.settings.home) as product, open_page(chromium) as page:
        page.goto(f"{product.url}/models")
        page.get_by_role("link", name=tail(candidate.id)).click()
        page.wait_for_url(f"**/models?checkpoint={candidate.id}")
        page.get_by_role("button", name="Promote").click()
        page.get_by_label("Why").fill("finds more")
        page.get_by_role("button", name="Promote it").click()
        expect(page.get_by_role("button", name="Promote")).to_have_count(0)
        page.reload()
        expect(page.get_by_role("heading", name=f"Model {candidate.id[-6:]}")).to_be_visible()
    assert live(store) == candidate.id


def test_an_unknown_model_is_told(store: Store, show: Screen) -> None:
    states.promote(store, states.add_checkpoint(store))
    assert "There is no checkpoint" in show("models", checkpoint="ckpt-none").error[0].value
