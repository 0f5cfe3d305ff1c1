"""Review: every image and box that came in; `?sample=<id>` opens one, `?view=` a part of the screen."""

import streamlit as st

from pages._ui import frame, review_parts, review_repair, review_sample

store = frame.require()

sample_id = st.query_params.get("sample")
if sample_id is None:
    st.title("Review", anchor=False)
review_repair.tell()
if sample_id is None:
    review_parts.draw(store)
else:
    review_sample.draw(store, sample_id)
