"""Overview: what is live, what runs, what waits, and how the host is."""

import streamlit as st

from pages._ui import frame, host, overview

store = frame.require()


@st.fragment(run_every=3)
def _screen() -> None:
    left, right = st.columns([3, 2], gap="medium")
    with left:
        overview.champion_card(store)
        overview.lately(store)
    with right:
        overview.running_now(store)
        overview.waiting(store)
        host.draw(store)


st.title("Overview", anchor=False)
if store.settings.is_demo:
    overview.demo_banner()
_screen()
