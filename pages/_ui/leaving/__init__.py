"""Going to another screen from one whose fragments refresh themselves.

What a fragment draws after its screen was left breaks Streamlit's client, and so does the second click of a
double click. So the screen is first drawn without its fragments, and left once the browser shows that.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_SCRIPT = Path(__file__).with_name("leaving.js")
_TARGET = "leaving_for"
_IS_SHOWN = "leaving_is_shown"


def leave_for(page: str, **query: str) -> None:
    """Have the screen left; to be called by what a click calls.

    Args:
        page: Path of the script of the other screen.
        query: What its address names.
    """
    st.session_state[_TARGET] = (page, query)


def is_wanted() -> bool:
    """Whether the screen is to be left: a fragment then runs the whole script again."""
    return _TARGET in st.session_state


def go(words: str) -> None:
    """Leave, in place of the fragments, and where they stood: one that is late may still draw there.

    Not with `st.stop` behind it: then Streamlit would not forget the fragments.

    Args:
        words: What is said meanwhile; Markdown, so never data.
    """
    if st.session_state.pop(_IS_SHOWN, False):
        page, query = st.session_state.pop(_TARGET)
        st.switch_page(page, query_params=query)
    st.info(words, icon=":material/arrow_forward:")
    _component()(key="leaving", on_shown_change=_is_shown, height=1)


def _is_shown() -> None:
    st.session_state[_IS_SHOWN] = True


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    script = _SCRIPT.read_text(encoding="utf-8")
    return st.components.v2.component("tms_leaving", html="<span></span>", js=script)
