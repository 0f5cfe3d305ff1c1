"""What stands around every screen: who may look, the open store, the navigation, and the live sidebar."""

from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import streamlit as st

from core.errors import InsecureBinding, TmsError
from core.store import Store
from pages._ui import sidebar
from pages._ui.keeping import KeptStore
from pages._ui.notes import problem
from pages._ui.words import plain

_SCREENS = Path(__file__).resolve().parent.parent
_ICON = Path(__file__).with_name("icon.svg")


def open_house() -> st.Page:
    """Check the viewer, draw the frame, and return the screen that was asked for."""
    st.session_state["house_is_open"] = True
    screen = st.navigation(_screens(), position="sidebar" if _may_look() else "hidden")
    st.set_page_config(page_title="TMS fine-tune", page_icon=_ICON, layout="wide")
    st.logo(_ICON, size="large")
    _check_viewer()
    with st.sidebar:
        sidebar.draw(_opened())
        _sign_out()
    return screen


def require() -> Store:
    """First line of each screen: stop here unless the viewer may see it, else return the open store.

    On a cold server Streamlit runs a screen that was reached by its address without `app.py`; then the
    navigation is declared here and the run starts over, through `app.py`.
    """
    if "house_is_open" not in st.session_state:
        st.session_state["house_is_open"] = True
        st.navigation(_screens(), position="hidden")
        st.rerun()
    _check_viewer()
    return _opened()


def actor() -> str:
    """Who is at the screen: the e-mail address they signed in with, else `local`."""
    return str(st.user.get("email") or st.user.get("sub") or "local")


def is_admin() -> bool:
    """Whether they may change API keys: one of `TMS_ADMINS`, or whoever sits at the host without sign-in."""
    if not _has_sign_in():
        return True
    # A provider that lets people enter any address says that it has not checked it.
    is_theirs = st.user.get("email_verified") is not False
    return is_theirs and str(st.user.get("email") or "").lower() in _opened().settings.admin_emails


def timezone() -> str | None:
    """IANA name of the viewer's time zone, as the browser told it."""
    return st.context.timezone


def _screens() -> list[st.Page]:
    # An icon given as `icon` becomes the tab's icon too, and the browser would fetch that from Google.
    return [
        st.Page(
            _SCREENS / "overview.py",
            title=":material/dashboard: Overview",
            default=True,
            help="What is live, what runs, what waits, and how the host is.",
        ),
        st.Page(
            _SCREENS / "review.py",
            title=":material/rate_review: Review",
            help="Every image and box that came in: correct, approve, reject, repair, import, export.",
        ),
        st.Page(
            _SCREENS / "retrain.py",
            title=":material/fitness_center: Retrain",
            help="What the next fine-tune would learn from and how: set it, look at it, start it.",
        ),
        st.Page(
            _SCREENS / "runs.py",
            title=":material/model_training: Runs",
            help="Every fine-tune: its curves while it learns, its verdict when it ended.",
        ),
        st.Page(
            _SCREENS / "compare.py",
            title=":material/compare: Compare",
            help="Two models on the same images: verdict, figures, and what each sees.",
        ),
        st.Page(
            _SCREENS / "models.py",
            title=":material/deployed_code: Models",
            help="What is live, what was, and every candidate: promote, roll back, download, export.",
        ),
        st.Page(
            _SCREENS / "system.py",
            title=":material/dns: System",
            help="Hosts and workers, storage, API keys, settings, and a bundle for whoever helps.",
        ),
    ]


def _check_viewer() -> None:
    if not _may_look():
        if _has_sign_in():
            _ask_to_sign_in()
        _refuse_binding()


def _may_look() -> bool:
    return bool(st.user.is_logged_in) if _has_sign_in() else _serves_loopback_only()


def _has_sign_in() -> bool:
    # Streamlit sets it, signed in or not, as soon as [auth] is configured.
    return "is_logged_in" in st.user


def _serves_loopback_only() -> bool:
    address = str(st.get_option("server.address") or "")
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _refuse_binding() -> NoReturn:
    address = st.get_option("server.address") or "every address of this host"
    refusal = InsecureBinding(
        f"The dashboard listens on {address}, where others can reach it, and no sign-in is configured. "
        "Start it with --server.address=127.0.0.1, or configure an OpenID Connect provider under [auth] "
        "in .streamlit/secrets.toml."
    )
    problem(refusal.as_dict() | {"title": "Refusing to serve this address without sign-in"})
    st.stop()


def _ask_to_sign_in() -> NoReturn:
    st.title("Fine-tune loop for thermal faults")
    st.write("Sign in to see what the detector learns.")
    st.button("Sign in", type="primary", icon=":material/login:", on_click=st.login)
    st.stop()


def _sign_out() -> None:
    if _has_sign_in():
        st.caption(f"Signed in as {plain(actor())}")
        st.button("Sign out", icon=":material/logout:", on_click=st.logout)


def _opened() -> Store:
    try:
        return _kept().store
    except TmsError as error:
        problem(error.as_dict())
        st.stop()


@st.cache_resource(show_spinner=False, on_release=KeptStore.close)
def _kept() -> KeptStore:
    """One for the whole server, however many look."""
    return KeptStore()
