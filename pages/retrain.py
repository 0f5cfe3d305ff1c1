"""Retrain: what the next fine-tune would learn from, and how; the address holds what was set."""

import streamlit as st

from pages._ui import frame, retrain_code, retrain_draft, retrain_form, retrain_outlook

store = frame.require()

# Opened from the navigation it has no address of its own, and a reload would lose what was set.
retrain_draft.keep(retrain_draft.current())

st.title("Retrain", anchor=False)
left, right = st.columns([2, 3], gap="large")
with left:
    retrain_form.draw(retrain_outlook.pool_size(store))
with right:
    retrain_outlook.draw(store)
    retrain_code.draw(store.settings, retrain_draft.current().request)
