"""The diagnostics bundle, for whoever is asked to help."""

import streamlit as st

from core.jobs import diagnostics
from core.store import Store


def draw(store: Store) -> None:
    """What is in it, and the download."""
    with st.container(border=True):
        st.subheader("Diagnostics bundle", anchor=False)
        st.markdown(
            "One zip for whoever is asked to help: versions, settings, hosts and workers with their free "
            f"memory and disk, the newest {diagnostics.RUNS_TOLD} runs with their errors, the newest "
            "promotions, and the ends of the logs of this host."
        )
        st.markdown(
            "**It holds no keys, no passwords, no images and no query strings of image addresses.** Names of "
            "hosts, folders and people stay: look through it before you send it."
        )
        st.download_button(
            "Download the bundle",
            lambda: diagnostics.bundle(store),
            file_name=diagnostics.file_name(),
            mime="application/zip",
            type="primary",
            icon=":material/folder_zip:",
            on_click="ignore",
        )
        st.markdown("Where no dashboard runs, `python -m core diagnostics` writes the same.")
