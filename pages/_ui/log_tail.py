"""The end of a run's log."""

import os
from pathlib import Path

import streamlit as st

from core.store import Store
from pages._ui.words import plain

_TAIL_BYTES = 32_768
_TAIL_LINES = 200


def log_tail(store: Store, run_id: str) -> None:
    """The last lines of `logs/<run-id>.log`, newest at the bottom.

    Args:
        store: Whose logs.
        run_id: Id of a run that the store knows; never a viewer's text.
    """
    with st.expander("Log", key="log_open", on_change="rerun") as expander:
        if expander.open:
            _show(store.settings.log_path(run_id))


def _show(path: Path) -> None:
    if not path.exists():
        st.caption("The log begins when a worker takes the run.")
        return
    st.code(last_lines(path), language=None, height=320, wrap_lines=True)
    st.caption(f"The last {_TAIL_LINES} lines of {plain(str(path))}")


def last_lines(path: Path) -> str:
    """The newest whole lines of a text file, without reading more than its end."""
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - _TAIL_BYTES))
        lines = log.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join((lines[1:] if size > _TAIL_BYTES else lines)[-_TAIL_LINES:])
