"""The three parts of the Review screen: images, quarantine, import. The address names the part."""

import streamlit as st

from core.store import Store
from pages._ui import review_bulk, review_gallery, review_import, review_quarantine
from pages._ui.champion import class_names

_PARTS = {"images": "Images", "quarantine": "Quarantine", "import": "Import"}
_KEY = "review_part"


def draw(store: Store) -> None:
    """The choice of a part, and the part."""
    part = st.query_params.get("view")
    st.session_state[_KEY] = part if part in _PARTS else "images"
    st.radio(
        "Part of the screen",
        list(_PARTS),
        key=_KEY,
        format_func=_PARTS.__getitem__,
        horizontal=True,
        label_visibility="collapsed",
        on_change=_choose,
    )
    if part == "quarantine":
        review_quarantine.draw(store, class_names(store))
    elif part == "import":
        review_import.draw(store, class_names(store))
    else:
        review_bulk.tell()
        review_gallery.draw(store, class_names(store))


def _choose() -> None:
    if st.session_state[_KEY] == "images":
        st.query_params.pop("view", None)
    else:
        st.query_params["view"] = st.session_state[_KEY]
