"""The end of a run's log."""

import os
from pathlib import Path

import streamlit as st

from core.store import Store
from pages._ui.history import LOG_LINES_KEPT, History
from pages._ui.words import plain

_TAIL_BYTES = 32_768


def log_tail(store: Store, history: History) -> None:
    """The last lines of a run's log, newest at the bottom: of its file, or as another host sent them.

    Args:
        store: Whose logs.
        history: Of a run that the store knows; its id is never a viewer's text.
    """
    with st.expander("Log", key="log_open", on_change="rerun") as expander:
        if expander.open:
            _show(store.settings.log_path(history.run_id), history)


def _show(path: Path, history: History) -> None:
    if path.exists():
        _lines(last_lines(path), f"The last {LOG_LINES_KEPT} lines of {plain(str(path))}")
    elif history.log_lines:
        _lines("\n".join(history.log_lines), "As its worker sent it; the whole log is on the worker's host.")
    else:
        st.caption("The log begins when a worker takes the run.")


def _lines(text: str, origin: str) -> None:
    st.code(text, language=None, height=320, wrap_lines=True)
    st.caption(origin)


def last_lines(path: Path) -> str:
    """The newest whole lines of a text file, without reading more than its end."""
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - _TAIL_BYTES))
        lines = log.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join((lines[1:] if size > _TAIL_BYTES else lines)[-LOG_LINES_KEPT:])
