"""One verdict on many samples of the Review screen, and what became of each."""

from collections.abc import Sequence

import streamlit as st

from core.errors import TmsError
from core.feedback.bulk_review import give_verdicts
from core.schemas_review import (
    MAX_BULK,
    BulkOutcome,
    BulkVerdictRequest,
    BulkVerdictResult,
    Decision,
    SampleFilter,
    SampleOrder,
    SampleSummary,
    SeenSample,
)
from core.store import Store
from pages._ui import frame
from pages._ui.notes import problem
from pages._ui.words import count, plain

_TOLD = "review_bulk_told"
_BUTTONS: dict[Decision, tuple[str, str]] = {
    "approved": ("Approve", ":material/check:"),
    "rejected": ("Reject", ":material/close:"),
}
_OUTCOMES: dict[BulkOutcome, str] = {
    "done": "done",
    "unchanged": "was so already",
    "stale": "changed by somebody else meanwhile, left as it is",
    "not_reviewable": "cannot be reviewed now",
    "not_found": "no longer there",
}
_EXPLAINED = 5


def gallery_key() -> str:
    """Of the tiles; they start anew when all or none were selected at once."""
    return f"review_tiles_{_generation()[0]}"


def preselected() -> list[str]:
    """Ids of the tiles that are selected from the start."""
    return list(_generation()[1])


def _generation() -> tuple[int, list[str]]:
    found: tuple[int, list[str]] = st.session_state.get("review_selection", (0, []))
    return found


def _select(ids: list[str]) -> None:
    st.session_state["review_selection"] = (_generation()[0] + 1, ids)


def draw(
    store: Store,
    samples: Sequence[SampleSummary],
    selected_ids: Sequence[str],
    order: SampleOrder,
    matching: int,
) -> None:
    """Buttons for those that are selected, and for all under the filter."""
    selected = [sample for sample in samples if sample.id in set(selected_ids)]
    if len(selected) < len(samples):
        ids = [sample.id for sample in samples]
        st.button("Select page", icon=":material/select_all:", on_click=_select, args=(ids,))
    if selected:
        st.button("Select none", icon=":material/deselect:", on_click=_select, args=([],))
    seen = [SeenSample(id=sample.id, revision=sample.revision) for sample in selected]
    for decision, (label, icon) in _BUTTONS.items():
        st.button(
            f"{label} {len(seen)} selected" if seen else f"{label} selected",
            key=f"bulk_{decision}",
            icon=icon,
            disabled=not seen,
            on_click=_decide,
            args=(store, decision, seen),
        )
    _all_of_filter(store, order, matching)


def _all_of_filter(store: Store, order: SampleOrder, matching: int) -> None:
    with st.popover("All of them …", icon=":material/done_all:", disabled=not 0 < matching <= MAX_BULK):
        st.markdown(
            f"**Decide on all {count(matching, 'image')} that the filters find**, also on other pages? "
            "Each can be opened again later."
        )
        for decision, (label, icon) in _BUTTONS.items():
            st.button(
                f"{label} all {matching:,}",
                key=f"all_{decision}",
                icon=icon,
                on_click=_decide_all,
                args=(store, decision, order, matching),
            )


def _decide(store: Store, decision: Decision, seen: list[SeenSample]) -> None:
    _give(store, BulkVerdictRequest(decision=decision, samples=seen))


def _decide_all(store: Store, decision: Decision, order: SampleOrder, matching: int) -> None:
    meant = SampleFilter(**order.model_dump(exclude={"sort"}))
    _give(store, BulkVerdictRequest(decision=decision, filter=meant, count=matching))


def _give(store: Store, request: BulkVerdictRequest) -> None:
    try:
        result = give_verdicts(store, request, actor=frame.actor())
    except TmsError as error:
        st.session_state[_TOLD] = error.as_dict()
        return
    _select([])
    st.session_state[_TOLD] = (request.decision, result)


def tell() -> None:
    """Say once what became of the last verdict on many."""
    told = st.session_state.pop(_TOLD, None)
    if isinstance(told, dict):
        problem(told)
    elif told is not None:
        _tell(*told)


def _tell(decision: Decision, result: BulkVerdictResult) -> None:
    label = decision.capitalize()
    done = result.counts["done"]
    others = [
        f"{number} {_OUTCOMES[what]}" for what, number in result.counts.items() if number and what != "done"
    ]
    lines = [f"**{label}: {count(done, 'image')}.**" + (f" Not: {'; '.join(others)}." if others else "")]
    reasons = [plain(one.detail) for one in result.outcomes if one.detail]
    lines += [f"- {reason}" for reason in reasons[:_EXPLAINED]]
    (st.warning if reasons else st.success)("\n".join([lines[0], "", *lines[1:]]))
