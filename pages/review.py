"""Review: every image and box that came in; `?sample=<id>` opens one."""

import streamlit as st

from pages._ui import frame, review_bulk, review_gallery
from pages._ui.champion import class_names

store = frame.require()

st.title("Review", anchor=False)
review_bulk.tell()
review_gallery.draw(store, class_names(store))
