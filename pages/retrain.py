"""Retrain: what the next fine-tune would learn from, and how; the address holds what was set."""

import streamlit as st

from pages._ui import frame, leaving, retrain_code, retrain_draft, retrain_form, retrain_outlook

store = frame.require()

st.title("Retrain", anchor=False)
retrain_draft.open_form()
left, right = st.columns([2, 3], gap="large")
with left:
    retrain_form.draw(retrain_outlook.pool_size(store))
with right:
    if leaving.is_wanted():
        leaving.go("One moment, it is being opened.")
    else:
        retrain_outlook.draw(store)
        retrain_code.draw(store.settings, retrain_draft.current().request)
