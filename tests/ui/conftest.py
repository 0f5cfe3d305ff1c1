"""A store of its own for each test, and the screens run on it without a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from playwright.sync_api import Browser
from streamlit import config as streamlit_config
from streamlit.testing.v1 import AppTest

from core.config import CHECKOUT, Settings, get_settings
from core.store import Store
from tests.factories import require
from tests.ui.product import PATIENCE_MS, Product, browser, chromium_path, dashboard

Screen = Callable[..., AppTest]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the dashboard under test opens too."""
    monkeypatch.setenv("TMS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMS_WORKER_AUTOSTART", "0")
    for name in ("TMS_PRETRAINED_WEIGHTS", "TMS_ANNOTATED_DATASET_ROOT", "TMS_DATABASE_URL", "TMS_BLOB_URL"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    with Store.open() as opened:
        yield opened
    st.cache_resource.clear()
    get_settings.cache_clear()


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """What the dashboard listens on, loopback unless the test says otherwise."""
    before = streamlit_config.get_option("server.address")
    asked = getattr(request, "param", "127.0.0.1")
    streamlit_config.set_option("server.address", asked)
    yield asked
    streamlit_config.set_option("server.address", before)


@pytest.fixture
def show(store: Store, address: str | None) -> Screen:
    """Runs the dashboard and opens a screen, with query parameters and a signed-in user if given."""

    def show_screen(
        name: str = "overview", *, user: dict[str, object] | None = None, **query: str
    ) -> AppTest:
        app = AppTest.from_file(CHECKOUT / "app.py", default_timeout=PATIENCE_MS / 1000)
        app.user = user or {}
        app.run()
        if name == "overview":
            return app
        for key, value in query.items():
            app.query_params[key] = value
        return app.switch_page(f"pages/{name}.py").run()

    return show_screen


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser, where there is one; under CI there has to be."""
    require(chromium_path(), "Chromium (set TMS_TEST_CHROMIUM)")
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The dashboard on a home of its own, for all tests of a module."""
    with dashboard(tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(product: Product) -> Iterator[Store]:
    """The store that this dashboard shows."""
    with Store.open(Settings(home=product.home)) as opened:
        yield opened


def words_of(app: AppTest) -> str:
    """Everything a screen says, as one text, as a reader sees it: without the escapes of `words.plain`."""
    kinds = ("title", "subheader", "markdown", "caption", "info", "success", "warning", "error", "code")
    said = [str(getattr(element, "value", "")) for kind in kinds for element in app.get(kind)]
    said += [f"{metric.label} {metric.value}" for metric in app.metric]
    said += [table.value.to_string() for table in [*app.table, *app.dataframe]]
    return "\n".join(said).replace("\\", "").replace("\N{WORD JOINER}", "")
