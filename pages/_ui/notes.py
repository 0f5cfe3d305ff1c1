"""Problems and empty states: what happened or is missing, and what to do next."""

from typing import Any

import streamlit as st

from pages._ui.words import plain


def problem(error: dict[str, Any]) -> None:
    """Show an error as stored with a run or raised by core.

    Args:
        error: `code`, `title`, `detail` and `extra`, as `TmsError.as_dict()` gives them.
    """
    st.error(
        f"**{plain(error['title'])}**\n\n{plain(error['detail'])}\n\n:small[code {plain(error['code'])}]",
        icon=":material/error:",
    )


def nothing_here(title: str, next_step: str) -> None:
    """An empty state.

    Args:
        title: What is not there.
        next_step: What to do about it; Markdown, so never data.
    """
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.markdown(f"**{title}**", text_alignment="center")
        st.caption(next_step, text_alignment="center")
