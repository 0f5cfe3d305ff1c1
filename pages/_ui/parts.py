"""The choice between the parts of a screen, which the address names as `?view=`."""

import streamlit as st

_ADDRESS = "view"


def choose(key: str, parts: dict[str, str]) -> str:
    """Draw the choice, and return the part that the address names; the first one if it names none.

    Args:
        key: Of the widget.
        parts: Labels by the word in the address.
    """
    first = next(iter(parts))
    asked = st.query_params.get(_ADDRESS)
    st.session_state[key] = asked if asked in parts else first
    st.radio(
        "Part of the screen",
        list(parts),
        key=key,
        format_func=parts.__getitem__,
        horizontal=True,
        label_visibility="collapsed",
        on_change=_take,
        args=(key, first),
    )
    part: str = st.session_state[key]
    return part


def _take(key: str, first: str) -> None:
    if st.session_state[key] == first:
        st.query_params.pop(_ADDRESS, None)
    else:
        st.query_params[_ADDRESS] = st.session_state[key]
