"""Models: what is live, what was, and every other checkpoint; `?checkpoint=<id>` opens one."""

import streamlit as st

from core.errors import NotFound
from core.registry.checkpoint_views import get_checkpoint
from pages._ui import frame, model_list, model_view
from pages._ui.notes import problem

store = frame.require()

checkpoint_id = st.query_params.get("checkpoint")
if checkpoint_id is None:
    st.title("Models", anchor=False)
    model_list.draw(store)
    st.stop()

# A link from the list opens it without a word in the address bar, and the next click would lose it.
st.query_params["checkpoint"] = checkpoint_id

st.page_link("pages/models.py", label="All models", icon=":material/arrow_back:")
try:
    model_view.draw(store, get_checkpoint(store, checkpoint_id))
except NotFound as error:
    problem(error.as_dict())
