"""The champion with the way back, the ledger, and all checkpoints, newest first."""

import streamlit as st

from core.registry import ledger
from core.registry.checkpoint_views import CheckpointView, list_checkpoints
from core.registry.ledger import LedgerView
from core.store import Store
from pages._ui import frame, model_actions
from pages._ui.champion import live_model
from pages._ui.notes import nothing_here
from pages._ui.outcome import VERDICTS
from pages._ui.run_list import link_to
from pages._ui.words import MISSING, ago, local_time, moment, plain, short_id

_PAGE = 20
_WIDTHS = (3, 3, 5, 3, 3)
_HEADINGS = ("Model", "State", "Made", "From", "By run")
_ACTIONS = {"promote": ":material/publish: promoted", "rollback": ":material/undo: rolled back to"}


def link_to_model(checkpoint_id: str) -> None:
    """A link that opens a checkpoint."""
    st.page_link(
        "pages/models.py",
        label=short_id(checkpoint_id),
        query_params={"checkpoint": checkpoint_id},
        help=checkpoint_id,
    )


@st.fragment(run_every=3)
def draw(store: Store) -> None:
    """The whole list, kept up to date."""
    live = live_model(store)
    if live is None:
        nothing_here(
            "No weights are live yet",
            "The first fine-tune makes the baseline the champion. Start one, or post feedback.",
        )
        return
    with st.container(border=True):
        st.subheader("Live now", anchor=False)
        since = local_time(live.since, frame.timezone())
        st.markdown(f"**{live.name}** since {since}, {ago(live.since)}: {plain(live.reason)}")
        model_actions.roll_back_button(store, live.id)
    _checkpoints(store)
    _ledger(store)


def _checkpoints(store: Store) -> None:
    st.subheader("Models", anchor=False)
    shown = st.session_state.setdefault("models_shown", _PAGE)
    found = list_checkpoints(store, limit=shown + 1)
    for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=True):
        column.caption(f"**{heading}**")
    for checkpoint in found[:shown]:
        _row(checkpoint)
    if len(found) > shown:
        st.button("Show older models", on_click=_show_more, args=("models_shown",))


def _show_more(key: str) -> None:
    st.session_state[key] += _PAGE


def _row(checkpoint: CheckpointView) -> None:
    name, state, made, parent, run = st.columns(_WIDTHS, vertical_alignment="center")
    with name:
        link_to_model(checkpoint.id)
    with state:
        state_badge(checkpoint)
    created = moment(checkpoint.created_at)
    made.caption(f"{local_time(created, frame.timezone())}, {ago(created)}")
    parent.caption(short_id(checkpoint.parent_id) if checkpoint.parent_id else "baseline")
    with run:
        if checkpoint.run_id:
            link_to(checkpoint.run_id)
        else:
            st.caption(MISSING)


def state_badge(checkpoint: CheckpointView) -> None:
    """Whether it is live, was, or never."""
    if checkpoint.is_live:
        st.badge("live", icon=":material/sensors:", color="green")
    elif checkpoint.was_live:
        st.badge("was live", icon=":material/history:", color="blue")
    else:
        st.badge("candidate", icon=":material/science:", color="gray")


def _ledger(store: Store) -> None:
    st.subheader("Ledger", anchor=False)
    st.caption("Every promotion and every way back, newest first. Nothing in it is ever changed.")
    shown = st.session_state.setdefault("ledger_shown", _PAGE)
    entries = ledger.entries(store, limit=shown + 1)
    for entry in entries[:shown]:
        st.markdown(_in_words(entry))
    if len(entries) > shown:
        st.button("Show older entries", on_click=_show_more, args=("ledger_shown",))


def _in_words(entry: LedgerView) -> str:
    when = local_time(moment(entry.created_at), frame.timezone())
    verdict = f", which {VERDICTS[entry.verdict]}" if entry.verdict else ""
    override = " in spite of that" if entry.is_override else ""
    instead = f" instead of {short_id(entry.previous_id)}" if entry.previous_id else ""
    done = f"{_ACTIONS[entry.action]} **{short_id(entry.checkpoint_id)}**{verdict}{override}{instead}"
    return f"{when} · {plain(entry.actor)} {done}: {plain(entry.reason)}"
