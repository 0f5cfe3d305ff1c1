"""Keys that work anywhere on a screen, unless somebody types into a field.

Streamlit's own shortcuts keep R for themselves and know one key a button.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

_SCRIPT = Path(__file__).with_name("keys.js")


def listen(acts: Mapping[str, Callable[[], None]], *, key: str) -> None:
    """Call what stands for a key when it is pressed, before the screen is drawn again.

    Args:
        acts: By the name that browsers give to a key, such as `a` or `ArrowRight`.
        key: Of the component on its screen.
    """

    def pressed() -> None:
        act = acts.get(st.session_state[key].get("pressed"))
        if act is not None:
            act()

    _component()(key=key, data={"keys": list(acts)}, on_pressed_change=pressed, height=1)


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    script = _SCRIPT.read_text(encoding="utf-8")
    return st.components.v2.component("tms_keys", html="<span></span>", js=script)
