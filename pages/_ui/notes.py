"""Problems and empty states: what happened or is missing, and what to do next."""

from typing import Any

import streamlit as st

from pages._ui.words import plain


def problem(error: dict[str, Any]) -> None:
    """Show an error as stored with a run or raised by core.

    Args:
        error: `code`, `title`, `detail` and `extra`, as `TmsError.as_dict()` gives them.
    """
    extra = error["extra"]
    origin = f", {plain(extra['exception'])}" if "exception" in extra else ""
    parts = [
        f"**{plain(error['title'])}**",
        plain(error["detail"]),
        *_what_to_try(extra.get("try", [])),
        f":small[code {plain(error['code'])}{origin}]",
    ]
    st.error("\n\n".join(parts), icon=":material/error:")


def _what_to_try(steps: list[str]) -> list[str]:
    return ["What to try:", "\n".join(f"- {plain(step)}" for step in steps)] if steps else []


def nothing_here(title: str, next_step: str) -> None:
    """An empty state.

    Args:
        title: What is not there.
        next_step: What to do about it; Markdown, so never data.
    """
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.markdown(f"**{title}**", text_alignment="center")
        st.caption(next_step, text_alignment="center")
