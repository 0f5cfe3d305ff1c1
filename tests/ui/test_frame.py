"""Who may look, and that each screen asks before it draws."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.config import CHECKOUT
from core.store import Store
from core.store.run_views import list_runs
from pages._ui.keeping import KEEPER_NAME, Rounds
from tests.ui.conftest import Screen, words_of
from tests.ui.product import PATIENCE_MS

SCREENS = sorted(path.name for path in (CHECKOUT / "pages").glob("*.py") if path.name != "__init__.py")
EXPOSED = [None, "", "0.0.0.0", "::", "192.168.1.5", "dashboard.example"]


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "127.0.0.2", "::1"], indirect=True)
def test_loopback_needs_no_sign_in(show: Screen) -> None:
    app = show()
    assert not app.error
    assert app.title[0].value == "Overview"


@pytest.mark.parametrize("address", EXPOSED, indirect=True)
def test_other_addresses_without_sign_in_are_refused(show: Screen) -> None:
    app = show()
    assert "Refusing to serve this address" in app.error[0].value
    assert "no sign\\-in is configured" in app.error[0].value
    assert "Overview" not in words_of(app)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("address", ["0.0.0.0"], indirect=True)
@pytest.mark.usefixtures("address", "store")
def test_no_screen_draws_before_it_asked(screen: str) -> None:
    app = AppTest.from_file(CHECKOUT / "pages" / screen, default_timeout=PATIENCE_MS / 1000).run()
    assert len(app.error) == 1
    assert not app.title
    assert not app.get("page_link")


@pytest.mark.parametrize("screen", SCREENS)
def test_each_screen_asks_first(screen: str) -> None:
    lines = (CHECKOUT / "pages" / screen).read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line and not line.startswith(('"', "import ", "from "))]
    assert code[0] == "store = frame.require()"


@pytest.mark.parametrize("address", ["0.0.0.0"], indirect=True)
def test_signed_out_viewer_sees_only_the_sign_in(show: Screen) -> None:
    app = show(user={"is_logged_in": False})
    assert [button.label for button in app.button] == ["Sign in"]
    assert not app.metric
    assert "Now" not in words_of(app)


@pytest.mark.parametrize("address", ["0.0.0.0"], indirect=True)
def test_signed_in_viewer_is_the_actor(store: Store, show: Screen) -> None:
    app = show(user={"is_logged_in": True, "email": "eva@grid.example"})
    next(button for button in app.button if button.label.startswith("Start")).click().run()
    assert list_runs(store)[0].actor == "eva@grid.example"


@pytest.mark.usefixtures("store")
def test_one_daemon_looks_after_the_runs_however_many_look(show: Screen) -> None:
    assert _keepers() == []
    show()
    show("runs")
    (keeper,) = _keepers()
    assert keeper.daemon
    st.cache_resource.clear()
    assert _keepers() == []


def _keepers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == KEEPER_NAME]


def test_trouble_while_looking_after_the_runs_is_told_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = Rounds(store)
    with store.database.write() as session:
        session.execute(sa.text("ALTER TABLE run RENAME TO away"))
    rounds.look()
    rounds.look()
    assert len(caplog.records) == 1
    with store.database.write() as session:
        session.execute(sa.text("ALTER TABLE away RENAME TO run"))
    rounds.look()
    assert len(caplog.records) == 1


def test_dashboard_never_loads_torch(tmp_path: Path) -> None:
    """Runs every screen in a process of its own and lists what it imported."""
    program = (
        "import sys; from streamlit import config; config.set_option('server.address', '127.0.0.1');"
        "from streamlit.testing.v1 import AppTest;"
        "app = AppTest.from_file('app.py', default_timeout=300).run();"
        "assert app.title[0].value == 'Overview', app.exception;"
        "app.switch_page('pages/runs.py').run(); assert app.title[0].value == 'Runs';"
        "print({'torch', 'ultralytics', 'torchvision', 'cv2'} & set(sys.modules))"
    )
    settings = {"TMS_HOME": str(tmp_path), "TMS_WORKER_AUTOSTART": "0", "PYTHONPATH": str(CHECKOUT)}
    environment = os.environ | settings
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_no_page_uses_raw_html() -> None:
    sources = [*(CHECKOUT / "pages").rglob("*.py"), CHECKOUT / "app.py"]
    assert len(sources) > 5
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert "unsafe_allow" not in text, source
        assert "st.html" not in text, source
