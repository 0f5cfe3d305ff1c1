"""The System screen: hosts, storage, keys, settings, and the diagnostics bundle."""

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from core.config import get_settings
from core.registry import retention
from core.store import Store, keys
from core.store.tables import Run, Worker, utc_now
from tests.ui import states
from tests.ui.conftest import Screen, words_of
from tests.ui.looking_glass import Watch, low_contrast
from tests.ui.product import Product, open_page

OPEN_FOR = {"is_logged_in": True, "email": "Eva@grid.example"}


def in_browser(test: Callable[..., Any]) -> Callable[..., Any]:
    return pytest.mark.ui(pytest.mark.slow(pytest.mark.xdist_group("browser")(test)))


def _add_worker(store: Store, worker_id: str = "worker-1", *, silent_for: timedelta = timedelta(0)) -> None:
    room = {
        "memory_free_bytes": 30 * 1024**3,
        "memory_total_bytes": 64 * 1024**3,
        "disk_free_bytes": 200 * 1024**3,
        "disk_total_bytes": 500 * 1024**3,
    }
    heard = utc_now() - silent_for
    worker = Worker(id=worker_id, host="gpu-host", pid=4711, device="0", room=room, heartbeat_at=heard)
    with store.database.write() as session:
        session.add(worker)


def _run_of(store: Store, worker_id: str) -> str:
    run_id = states.train_run(store, epochs_done=1)
    with store.database.write() as session:
        session.execute(sa.update(Run).where(Run.id == run_id).values(owner_id=f"worker:x:{worker_id}"))
    return run_id


def _ended_runs(store: Store, number: int) -> list[str]:
    """Failed runs, the oldest first, each with a folder of 1 MiB."""
    failure = {"code": "disk_full", "title": "The disk is full", "detail": "No space.", "extra": {}}
    ended = [states.fail_run(store, failure) for _ in range(number)]
    for run_id in ended:
        folder = store.settings.run_folder(run_id)
        folder.mkdir(parents=True)
        (folder / "candidate.pt").write_bytes(bytes(1024**2))
    return ended


def test_hosts_tell_who_works_on_what(store: Store, show: Screen) -> None:
    _add_worker(store)
    run_id = _run_of(store, "worker-1")
    app = show("system")
    said = words_of(app)
    assert "gpu-host" in said
    assert "30.0 GiB of 64.0 GiB memory free, 200.0 GiB of 500.0 GiB disk free" in said
    assert "Device 0, process 4711. Heard just now" in said
    assert f"run-{run_id[-6:]}" in [link.proto.label for link in app.get("page_link")]


def test_a_worker_that_was_killed_is_told(store: Store, show: Screen) -> None:
    _add_worker(store, silent_for=timedelta(minutes=5))
    said = words_of(show("system"))
    assert "Heard 5 min ago" in said
    assert "It did not say good-bye" in said


def test_without_a_worker_it_says_how_to_get_one(show: Screen) -> None:
    assert "python -m core.jobs.worker" in words_of(show("system"))


def test_a_key_is_made_used_and_revoked(store: Store, show: Screen) -> None:
    app = show("system", view="keys")
    assert "No key is in force" in words_of(app)
    assert "There is no key yet" in words_of(app)
    app.text_input(key="key_name").set_value("feed-1")
    app.selectbox[0].set_value("operate")
    next(one for one in app.button if one.label == "Make key").click().run()
    made = app.code[0].value
    key = keys.find_key(store, made)
    assert key is not None
    assert (key.name, key.scope) == ("feed-1", "operate")
    next(one for one in app.button if one.label == "I have copied it").click().run()
    assert made not in words_of(app)
    keys.note_use(store, key)
    app.run()
    assert "just now" in words_of(app)
    assert "It is the last key" in words_of(app)
    app.button(key=f"revoke_for_sure_{key.id}").click().run()
    assert not app.exception
    assert keys.find_key(store, made) is None
    assert "No key is in force" in words_of(app)


def test_a_name_that_is_taken_is_refused_in_words(store: Store, show: Screen) -> None:
    keys.create_key(store, "feed-1", "feed")
    app = show("system", view="keys")
    app.text_input(key="key_name").set_value("feed-1")
    next(one for one in app.button if one.label == "Make key").click().run()
    assert "Choose another name" in app.error[0].value
    assert not app.code


def test_a_key_that_somebody_else_has_revoked_is_told(store: Store, show: Screen) -> None:
    keys.create_key(store, "feed-1", "feed")
    key = keys.list_keys(store)[0]
    app = show("system", view="keys")
    keys.revoke_key(store, "feed-1")
    app.button(key=f"revoke_for_sure_{key.id}").click().run()
    assert "No key named feed\\-1 is in force" in app.toast[0].value


@pytest.mark.parametrize("address", ["0.0.0.0"], indirect=True)
@pytest.mark.parametrize(
    ("admins", "user", "may"),
    [
        ("", OPEN_FOR, False),
        ("bo@grid.example", OPEN_FOR, False),
        ("bo@grid.example, eva@grid.example", OPEN_FOR, True),
        ("eva@grid.example", OPEN_FOR | {"email_verified": False}, False),
        ("none", {"is_logged_in": True, "sub": "x"}, False),
    ],
)
@pytest.mark.usefixtures("address")
def test_where_people_sign_in_only_admins_change_keys(
    store: Store,
    show: Screen,
    monkeypatch: pytest.MonkeyPatch,
    admins: str,
    user: dict[str, object],
    may: bool,
) -> None:
    keys.create_key(store, "feed-1", "feed")
    monkeypatch.setenv("TMS_ADMINS", admins)
    get_settings.cache_clear()
    app = show("system", user=user, view="keys")
    labels = [one.label for one in app.button]
    assert ("Make key" in labels, "Revoke feed-1" in labels) == (may, may)
    assert "feed-1" in words_of(app)
    assert any("TMS_ADMINS" in one.value for one in app.info) is not may


def test_storage_is_measured_beside_the_screen(store: Store, show: Screen) -> None:
    store.blobs.put(bytes(3 * 1024**2))
    app = show("system", view="storage")
    _wait_for_the_gauge()
    said = words_of(app.run())
    assert "Images, weights and other blobs" in said
    assert "3.0 MiB" in said
    assert "Database (SQLite)" in said
    assert "Nothing to remove" in said


def _wait_for_the_gauge() -> None:
    from pages._ui.gauge import gauge_of

    gauge = gauge_of(None)  # type: ignore[arg-type] - it is made already
    gauge._thread.submit(lambda: None).result()


def test_tidying_names_what_goes_and_removes_what_was_seen(store: Store, show: Screen) -> None:
    ended = _ended_runs(store, 3)
    app = show("system", view="storage")
    said = words_of(app)
    assert all(f"folder of run-{id_[-6:]}" in said for id_ in ended[:2])
    assert f"run-{ended[2][-6:]}" not in said
    assert "Remove 2 run folders for good?" in said
    later = _ended_runs(store, 1)
    app.button(key="tidy_for_sure").click().run()
    assert not app.exception
    assert "2 run folders removed, 2.0 MiB freed." in words_of(app)
    left = [store.settings.run_folder(id_).is_dir() for id_ in (*ended, *later)]
    assert left == [False, False, True, True]
    assert [one.id for one in retention.surplus(store)] == [ended[2]]


def test_who_is_too_late_to_tidy_is_told(store: Store, show: Screen) -> None:
    _ended_runs(store, 2)
    app = show("system", view="storage")
    retention.tidy(store)
    app.button(key="tidy_for_sure").click().run()
    assert "somebody else was faster" in words_of(app)


def test_settings_say_where_they_come_from_and_no_secret(
    store: Store, show: Screen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMS_KEEP_RUNS", "7")
    monkeypatch.setenv("TMS_DATABASE_URL", f"sqlite:///{tmp_path}/swordfish.sqlite")
    get_settings.cache_clear()
    app = show("system", view="settings")
    rows = {row["Setting"].strip("`"): row for row in app.table[0].value.to_dict("records")}
    assert rows["TMS_KEEP_RUNS"]["Value"] == "7"
    assert "environment" in rows["TMS_KEEP_RUNS"]["From"]
    assert rows["TMS_DEVICE"]["From"] == "default"
    assert rows["TMS_DATABASE_URL"]["Value"] == "set"
    assert "swordfish" not in words_of(app)
    app.toggle(key="settings_only_set").set_value(True).run()
    shown = {row["Setting"].strip("`") for row in app.table[0].value.to_dict("records")}
    assert shown == {"TMS_HOME", "TMS_KEEP_RUNS", "TMS_DATABASE_URL", "TMS_WORKER_AUTOSTART"}


@pytest.mark.parametrize("view", ["hosts", "keys", "storage", "settings", "diagnostics", "nonsense"])
def test_the_address_names_the_part(show: Screen, view: str) -> None:
    app = show("system", view=view)
    assert not app.exception
    assert app.radio(key="system_part").value == (view if view != "nonsense" else "hosts")
    app.radio(key="system_part").set_value("settings").run()
    assert app.query_params["view"] in ("settings", ["settings"])


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    options = {"viewport": {"width": 1440, "height": 1200}, "timezone_id": "Europe/Vienna"}
    with open_page(chromium, accept_downloads=True, **options) as opened:
        yield opened


@in_browser
def test_a_key_from_the_screen_opens_until_it_is_revoked(page: Page, product: Product, shared: Store) -> None:
    watch = Watch.on(page)
    page.goto(f"{product.url}/system?view=keys")
    page.get_by_label("Whose key").fill("feed-substation-7")
    page.get_by_role("button", name="Make key").click()
    dialog = page.get_by_role("dialog")
    made = dialog.get_by_text("tms_").inner_text()
    found = keys.find_key(shared, made)
    assert found is not None
    assert (found.name, found.scope) == ("feed-substation-7", "feed")
    dialog.get_by_role("button", name="I have copied it").click()
    expect(dialog).to_have_count(0)
    assert made not in page.content()
    page.reload()
    expect(page.get_by_text("feed-substation-7", exact=True)).to_be_visible()
    assert made not in page.content()

    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Whoever uses it is refused from the next call on, for good")).to_be_visible()
    page.get_by_role("button", name="Revoke feed-substation-7").click()
    expect(page.get_by_text("1 revoked key")).to_be_visible()
    assert keys.find_key(shared, made) is None
    assert (watch.errors, watch.foreign) == ([], [])


@in_browser
def test_a_key_that_somebody_else_makes_appears(page: Page, product: Product, shared: Store) -> None:
    page.goto(f"{product.url}/system?view=keys")
    expect(page.get_by_role("heading", name="Keys in force")).to_be_visible()
    keys.create_key(shared, "made-elsewhere", "operate")
    expect(page.get_by_text("made-elsewhere", exact=True)).to_be_visible()


@in_browser
def test_tidying_shows_what_would_go_and_asks_once(page: Page, product: Product, shared: Store) -> None:
    old, kept = _ended_runs(shared, 2)
    page.goto(f"{product.url}/system?view=storage")
    expect(page.get_by_text(f"folder of run-{old[-6:]}")).to_be_visible()
    expect(page.get_by_text("Database (SQLite)")).to_be_visible()
    page.get_by_role("button", name="Tidy: free 1.0 MiB").click()
    expect(page.get_by_text("Remove 1 run folder for good?")).to_be_visible()
    assert shared.settings.run_folder(old).is_dir()
    page.get_by_role("button", name="Remove them").click()
    expect(page.get_by_text("1 run folder removed, 1.0 MiB freed.")).to_be_visible()
    expect(page.get_by_text("Nothing to remove")).to_be_visible()
    assert not shared.settings.run_folder(old).exists()
    assert shared.settings.run_folder(kept).is_dir()


@in_browser
def test_the_bundle_is_downloaded_and_opens(
    page: Page, product: Product, shared: Store, tmp_path: Path
) -> None:
    page.goto(f"{product.url}/system?view=diagnostics")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the bundle").click()
    assert download.value.suggested_filename.startswith("tms-diagnostics-")
    download.value.save_as(tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        assert archive.testzip() is None
        settings = {one["name"]: one["value"] for one in json.loads(archive.read("settings.json"))}
    assert settings["TMS_HOME"] == str(shared.settings.home)


@in_browser
def test_a_worker_appears_and_is_seen_to_take_a_run(page: Page, product: Product, shared: Store) -> None:
    page.goto(f"{product.url}/system")
    expect(page.get_by_text("No worker is alive")).to_be_visible()
    _add_worker(shared, "worker-live")
    expect(page.get_by_text("waits for a run")).to_be_visible()
    run_id = _run_of(shared, "worker-live")
    expect(page.get_by_text("at work")).to_be_visible()
    page.get_by_role("link", name=f"run-{run_id[-6:]}").click()
    page.wait_for_url(f"**/runs?run={run_id}")


@in_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_part_is_readable(chromium: Browser, product: Product, shared: Store, theme: str) -> None:
    keys.create_key(shared, f"readable-{theme}", "feed")
    _ended_runs(shared, 2)
    with open_page(chromium, color_scheme=theme, viewport={"width": 1440, "height": 2400}) as page:
        watch = Watch.on(page)
        for part, sign in PARTS.items():
            page.goto(f"{product.url}/system?view={part}")
            expect(page.get_by_text(sign).first).to_be_visible()
            assert low_contrast(page) == []
        assert (watch.errors, watch.foreign) == ([], [])


PARTS = {
    "hosts": "This host",
    "storage": "Measured",
    "keys": "Keys in force",
    "settings": "TMS_HOME",
    "diagnostics": "Diagnostics bundle",
}
