"""What a run by the form would learn from now, how long it may take, and the button that starts it."""

from uuid import uuid4

import streamlit as st

from core.dataset import feedback_set
from core.errors import BaseSetMissing, TmsError
from core.jobs import preview, service
from core.schemas import DatasetPreview, Promotion, RetrainRequest
from core.store import Store
from core.store.ids import canonical_digest
from core.store.run_views import QueueOutlook, queue_outlook
from pages._ui import frame, leaving, retrain_composition, retrain_draft, retrain_mix
from pages._ui.demo import collect_demo
from pages._ui.notes import nothing_here, problem
from pages._ui.retrain_parts import parts_of
from pages._ui.words import count, duration, plain

_EVERY_S = 2
_TICKET = "retrain_ticket"
_PUBLISHES: dict[Promotion, str] = {
    "no_regression": "publishes the new weights unless they are worse",
    "proven_gain": "publishes the new weights only if they are proven to be better",
    "manual": "publishes nothing: a person promotes",
}


def pool_size(store: Store) -> int | None:
    """Images that could be replayed; None where there is no base set to tell."""
    try:
        parts = parts_of(store)
    except TmsError:
        return None
    return len(parts.first_epoch(retrain_draft.current().request.hyperparameters).replay_pool)


@st.fragment(run_every=_EVERY_S)
def draw(store: Store) -> None:
    """The whole right side, kept up to date with the form and with what others approve."""
    if leaving.is_wanted():
        st.rerun()
    request = retrain_draft.current().request
    try:
        parts = parts_of(store)
    except TmsError as error:
        _without_base_set(store, error)
        return
    seen = preview.preview_of(store, request, parts)
    if not parts.new:
        _nothing_approved(store)
    _start_card(store, request, seen)
    _warnings(seen)
    epoch = parts.first_epoch(request.hyperparameters)
    retrain_composition.draw(parts, epoch)
    retrain_mix.draw(store, epoch)


def _without_base_set(store: Store, error: TmsError) -> None:
    if store.settings.is_demo and isinstance(error, BaseSetMissing):
        nothing_here(
            "The demo is not drawn yet",
            "Its base set and baseline are made with the first feedback that is taken in.",
        )
        _offer_demo(store)
    else:
        problem(error.as_dict())
    st.button("Start fine-tune", type="primary", disabled=True, help=error.title, key="retrain_start")


def _nothing_approved(store: Store) -> None:
    with store.database.read() as session:
        pending: int = feedback_set.nothing_approved(session).extra["pending_samples"]
    nothing_here(
        "Nothing is approved that is new to the champion",
        "A fine-tune learns from approved feedback. It is counted here as soon as somebody approves it.",
    )
    if pending or not store.settings.is_demo:
        label = f"Review what waits: {count(pending, 'image')}" if pending else "Import feedback"
        where = {"status": "pending"} if pending else {"view": "import"}
        st.page_link("pages/review.py", label=label, icon=":material/rate_review:", query_params=where)
    else:
        _offer_demo(store)


def _offer_demo(store: Store) -> None:
    st.button(
        "Bring in the demo feedback",
        icon=":material/science:",
        help="Twelve synthetic images, for review. The API of this host serves them.",
        on_click=_collect_demo,
        args=(store,),
    )
    st.page_link(
        "pages/review.py",
        label="Review it",
        icon=":material/rate_review:",
        query_params={"status": "pending"},
    )


def _collect_demo(store: Store) -> None:
    try:
        collect_demo(store)
    except TmsError as error:
        st.toast(plain(error.detail), icon=":material/error:")
    else:
        st.toast("It appears in Review once its images are here.", icon=":material/check:")


def _start_card(store: Store, request: RetrainRequest, seen: DatasetPreview) -> None:
    with st.container(border=True):
        _figures(request, seen)
        ticket = st.session_state.setdefault(_TICKET, uuid4().hex)
        is_possible = seen.feedback_samples > 0
        st.markdown(_what_it_does(request, seen))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Start fine-tune",
                key="retrain_start",
                type="primary",
                icon=":material/play_arrow:",
                disabled=not is_possible,
                help=None if is_possible else "Nothing is approved that is new to the champion.",
                on_click=start,
                args=(store, ticket),
            )
            st.caption(_place(store, queue_outlook(store)), width="stretch")


def _figures(request: RetrainRequest, seen: DatasetPreview) -> None:
    takes = seen.expected_duration_s
    figures = {
        "Feedback images": f"{seen.feedback_samples:,}",
        "Replay images": f"{seen.replay_samples:,}",
        "Epochs": f"{request.epochs:,}",
        "Expected time": duration(takes) if takes is not None else "unknown",
    }
    for column, (label, value) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(label, value)
    if takes is None:
        st.caption("No run has ended well on this host yet: the time is known after the first one.")


def _place(store: Store, outlook: QueueOutlook) -> str:
    if not (store.settings.worker_autostart or service.live_workers(store)):
        return f"{_ahead(outlook)}. No worker is there; start one: python -m core.jobs.worker"
    if outlook.wait_s is None:
        return f"{_ahead(outlook)}; how long they take is not known yet."
    start = f"in {duration(outlook.wait_s)}" if outlook.wait_s else "at once"
    return f"{_ahead(outlook)}; it would start {start}."


def _ahead(outlook: QueueOutlook) -> str:
    if not (outlook.waiting or outlook.working):
        return "The queue is empty"
    return f"Place {outlook.waiting + 1} in the queue, {count(outlook.working, 'run')} at work"


def _what_it_does(request: RetrainRequest, seen: DatasetPreview) -> str:
    if not seen.feedback_samples:
        return "It can start once something is approved."
    replay = f" and {count(seen.replay_samples, 'replayed image')}" if seen.replay_samples else ""
    epoch = f"{count(seen.feedback_samples, 'feedback image')}{replay}"
    learns = f"Learns {count(request.epochs, 'epoch')} of {epoch}"
    return f"{learns}, judges old and new weights on the same images, and {_PUBLISHES[request.promotion]}."


def start(store: Store, ticket: str) -> None:
    """Hand in what the form says; the same ticket and form a second time name the run of the first.

    Args:
        store: Where the run goes.
        ticket: Of the button as it was drawn: a click that comes twice has the same.
    """
    request = retrain_draft.current().request
    key = f"dashboard-{ticket}-{canonical_digest(request.model_dump(mode='json'))[:16]}"
    try:
        submitted = service.submit_retrain(
            store, request, source="dashboard", actor=frame.actor(), idempotency_key=key
        )
    except TmsError as error:
        st.toast(plain(error.detail), icon=":material/error:")
        return
    # The next button that is drawn starts another run.
    st.session_state.pop(_TICKET, None)
    leaving.leave_for("pages/runs.py", run=submitted.run_id)


def _warnings(seen: DatasetPreview) -> None:
    if seen.feedback_samples and seen.warnings:
        lines = "\n".join(f"- {plain(text)}" for text in seen.warnings)
        st.warning(f"**To mind**\n\n{lines}", icon=":material/warning:")
