"""Every setting of this process, where it comes from, and what it is for."""

import streamlit as st

from core.config import SettingInForce, in_force
from core.store import Store
from pages._ui.words import MISSING, plain


def draw(store: Store) -> None:
    """The table; of secrets it says only whether they are set."""
    st.markdown(
        "Set in the environment, or in the file `.env` beside `app.py`; read once at start, so a change "
        "needs a restart of dashboard, API and worker. docs/operations.md says more about each."
    )
    found = in_force(store.settings)
    only_set = st.toggle("Only what differs from a fresh installation", key="settings_only_set")
    shown = [setting for setting in found if not (only_set and setting.is_default)]
    if not shown:
        st.caption("Nothing is set: all are defaults.")
        return
    st.table(
        [_row(setting) for setting in shown],
        border="horizontal",
        hide_index=True,
        alt="Settings in force.",
    )


def _row(setting: SettingInForce) -> dict[str, str]:
    return {
        "Setting": f"`{setting.name}`",
        "Value": plain(setting.value) or MISSING,
        "From": "default" if setting.is_default else ":blue-badge[environment]",
        "What it is for": plain(setting.sentence),
    }
