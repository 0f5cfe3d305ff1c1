"""What a viewer can ask of a run: to stop, to be cancelled, to be done once more."""

import streamlit as st

from core.errors import TmsError
from core.jobs import service
from core.schemas import RunView
from core.store import Store
from core.store.runs import Wish
from pages._ui import frame
from pages._ui.words import count, plain

_NOTHING_TO_KEEP = "It has learned nothing yet, so there is nothing to keep: stopping cancels it."


def end_buttons(store: Store, run: RunView) -> None:
    """Stop and keep best, cancel and discard; whatever was asked already is disabled."""
    st.button(
        "Stop and keep best" if _has_learned(run) else "Stop",
        key="stop",
        icon=":material/stop_circle:",
        help=_what_stop_does(run),
        disabled=run.wanted is not None or run.status == "evaluating",
        on_click=_ask,
        args=(store, run.id, "stop"),
    )
    with st.popover(
        "Cancel and discard",
        icon=":material/delete:",
        disabled=run.wanted == "cancel",
        key="cancel_open",
        on_change="rerun",
    ):
        st.markdown(_what_cancel_does(run))
        st.button(
            "Cancel this run",
            key="cancel_for_sure",
            type="primary",
            on_click=_cancel,
            args=(store, run.id),
        )


def _has_learned(run: RunView) -> bool:
    return run.epochs_done > 0 or run.status in ("training", "evaluating")


def _what_stop_does(run: RunView) -> str:
    if run.status == "evaluating":
        return "Training is over: its best weights are being judged."
    if not _has_learned(run):
        return _NOTHING_TO_KEEP
    return "It learns nothing more. Its best weights so far are judged, and published if they pass."


def _what_cancel_does(run: RunView) -> str:
    if not _has_learned(run):
        return (
            "**Cancel this run?** It has learned nothing yet, so nothing is lost. "
            "Its feedback stays, and can be learned from again."
        )
    made = f"the weights of {count(run.epochs_done, 'epoch')}" if run.epochs_done else "what it has learned"
    return (
        f"**Cancel this run?** Everything it made is discarded: {made}, for good.\n\n"
        "Its feedback and its record with curves and log stay, and so does what is live."
    )


def wish_words(run: RunView) -> str | None:
    """What comes of having asked a run to end; None if nobody has."""
    if run.wanted == "cancel":
        when = "after this batch" if run.status == "training" else "within moments"
        return f"Cancelling {when}, then everything it made is discarded."
    if run.wanted is None or run.status == "evaluating":
        return None
    if run.status == "training":
        return "Stopping after this batch, then its best weights are judged."
    return "Stopped: it learns nothing more, and its best weights are judged as soon as a worker is free."


def _cancel(store: Store, run_id: str) -> None:
    _ask(store, run_id, "cancel")
    # It would stay open over a button that is disabled by then.
    st.session_state["cancel_open"] = False


def _ask(store: Store, run_id: str, wish: Wish) -> None:
    try:
        service.ask_to_end(store, run_id, wish, frame.actor())
    except TmsError as error:
        st.toast(plain(error.detail), icon=":material/error:")


def retry_buttons(store: Store, run: RunView) -> None:
    """Continue behind the last epoch if a retry would, and start again; both open the new run."""
    epochs_kept = service.epochs_to_keep(store, run.id)
    if epochs_kept and st.button(
        f"Continue after epoch {epochs_kept}",
        type="primary",
        icon=":material/resume:",
        help="A new run goes on where this one ended.",
    ):
        _retry(store, run, from_start=False)
    anew = "A new run learns anew from the same feedback."
    if st.button("Start again", icon=":material/replay:", help=anew):
        _retry(store, run, from_start=True)


def _retry(store: Store, run: RunView, *, from_start: bool) -> None:
    try:
        again = service.retry(store, run.id, frame.actor(), from_start=from_start)
    except TmsError as error:
        st.toast(plain(error.detail), icon=":material/error:")
        return
    st.switch_page("pages/runs.py", query_params={"run": again.id})
