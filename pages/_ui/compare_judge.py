"""Has two models compared, with what is being done in words."""

import streamlit as st

from core.errors import TmsError
from core.jobs import comparing
from core.store import Store
from pages._ui.notes import nothing_here, problem
from pages._ui.words import plain


def first(store: Store, baseline_id: str, candidate_id: str) -> None:
    """Where two were never compared: that, and the button that has it done."""
    nothing_here(
        "These two were never compared",
        "**Compare them** scores both on the same images: today's base test set and held-out feedback.",
    )
    _button(store, baseline_id, candidate_id, "Compare them", is_first=True)


def again(store: Store, baseline_id: str, candidate_id: str) -> None:
    """Once more, on the images that judge today: there may be more of them than there were."""
    _button(store, baseline_id, candidate_id, "Compare on today's images", is_first=False)


def _button(store: Store, baseline_id: str, candidate_id: str, label: str, *, is_first: bool) -> None:
    is_asked = st.button(
        label,
        type="primary" if is_first else "secondary",
        icon=":material/balance:",
        help="Takes minutes where a score is missing, else seconds. Stay on this page meanwhile.",
    )
    if is_asked:
        _compare(store, baseline_id, candidate_id)


def _compare(store: Store, baseline_id: str, candidate_id: str) -> None:
    try:
        with st.status("Comparing: stay on this page …", expanded=True):
            comparing.compare(
                store, baseline_id, candidate_id, say=lambda step: st.markdown(f"{plain(step)} …")
            )
    except TmsError as error:
        problem(error.as_dict())
        return
    st.rerun()
