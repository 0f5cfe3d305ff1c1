"""Runs: every fine-tune; `?run=<id>` opens one."""

import streamlit as st

from core.errors import NotFound
from core.store.run_views import get_run
from pages._ui import frame, run_list, run_view
from pages._ui.notes import problem

store = frame.require()

run_id = st.query_params.get("run")
if run_id is None:
    st.title("Runs", anchor=False)
    run_list.draw(store)
    st.stop()

# A link from the list opens it without a word in the address bar, and the next click would lose it.
st.query_params["run"] = run_id

st.page_link("pages/runs.py", label="All runs", icon=":material/arrow_back:")
try:
    run_view.draw(store, get_run(store, run_id))
except NotFound as error:
    problem(error.as_dict())
