"""System: hosts, storage, keys, settings and the diagnostics bundle; `?view=` names the part."""

import streamlit as st

from pages._ui import frame, system_parts

store = frame.require()

st.title("System", anchor=False)
system_parts.draw(store)
