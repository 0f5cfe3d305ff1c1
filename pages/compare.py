"""Compare: two models on the same images; `?candidate=<id>&baseline=<id>` opens a comparison."""

import streamlit as st

from core.errors import NotFound
from pages._ui import compare_start, compare_view, frame
from pages._ui.notes import problem

store = frame.require()

candidate_id = st.query_params.get("candidate")
if candidate_id is None:
    st.title("Compare", anchor=False)
    compare_start.draw(store)
    st.stop()

st.page_link("pages/compare.py", label="All comparisons", icon=":material/arrow_back:")
try:
    baseline_id = st.query_params.get("baseline") or compare_start.usual_baseline(store, candidate_id)
    # A link from a list opens it without a word in the address bar, and the next click would lose it.
    st.query_params.update({"candidate": candidate_id, "baseline": baseline_id})
    compare_view.draw(store, baseline_id, candidate_id)
except NotFound as error:
    problem(error.as_dict())
