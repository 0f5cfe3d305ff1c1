"""The cards of the Overview."""

from datetime import datetime
from operator import attrgetter

import streamlit as st

from core.evaluation.metrics import FITNESS
from core.registry import handover
from core.registry.handover import HandoverState
from core.registry.publish import ledger
from core.schemas import RunStatus, RunView
from core.store import Store
from core.store.run_views import list_runs
from core.store.states import ENDED
from core.store.tables import LedgerEntry
from pages._ui import frame
from pages._ui.champion import live_model
from pages._ui.charts import METRICS
from pages._ui.demo import start_demo
from pages._ui.history import history_of
from pages._ui.notes import nothing_here
from pages._ui.outcome import outcome, outcome_icon
from pages._ui.progress import LIVE, progress_bar, status_badge
from pages._ui.queue import place_in_short
from pages._ui.run_list import link_to
from pages._ui.words import ago, count, local_time, moment, plain, points, short_id

_NEWS_SHOWN = 8
_QUEUE_SHOWN = 5
_QUEUE_LOOKED_AT = 200
_SHOWN = tuple(key for key in METRICS if key != FITNESS)

News = tuple[datetime, str]


def demo_banner() -> None:
    """Say that synthetic data stands in, and how to change that."""
    st.info(
        "**Demo data.** Neither baseline weights nor a base set is configured, so synthetic thermal scenes "
        "stand in for both. To work on your own, set `TMS_PRETRAINED_WEIGHTS` and "
        "`TMS_ANNOTATED_DATASET_ROOT` in the file `.env` beside `app.py`, and restart.",
        icon=":material/science:",
    )


def champion_card(store: Store) -> None:
    """The champion, since when it is live, and its figures."""
    with st.container(border=True):
        st.subheader("Champion", anchor=False)
        model = live_model(store)
        if model is None:
            nothing_here("No weights are live yet", "The first fine-tune makes the baseline the champion.")
            return
        st.markdown(f"**{model.name}** is live since {local_time(model.since, frame.timezone())}")
        st.caption(served_in_short(handover.state(store)))
        if model.metrics is None:
            st.caption("Its figures appear here once a fine-tune has judged it on the base test set.")
            return
        _figures(model.metrics)
        st.caption("Scores on the base test set, in points: 100 is perfect.")


def served_in_short(state: HandoverState) -> str:
    """Which inference services serve the champion, in a sentence."""
    behind = [service for service in state.services if not service.is_current]
    if not state.services:
        return "No inference service has said that it serves it; docs/serving.md tells how."
    served = f"Served by {state.current_count} of {count(len(state.services), 'inference service')}"
    if not behind:
        return f"{served}."
    names = ", ".join(f"{plain(one.service)} (heard {ago(moment(one.seen_at))})" for one in behind)
    return f":material/warning: {served}; not yet by {names}."


def _figures(metrics: dict[str, float]) -> None:
    for column, key in zip(st.columns(len(_SHOWN)), _SHOWN, strict=True):
        column.metric(METRICS[key], points(metrics.get(key)))


def running_now(store: Store) -> None:
    """The runs at work with their progress, or how to start one."""
    with st.container(border=True):
        st.subheader("Running now", anchor=False)
        running = _in_states(store, *LIVE)
        for run in running:
            _run_line(run)
            progress_bar(run, history_of(store, run.id), frame.timezone())
        if not running:
            st.caption("No run is at work.")
        _how_to_start(store)


def _how_to_start(store: Store) -> None:
    if not store.settings.is_demo:
        _how_to_post(store)
    elif st.button("Start a demo fine-tune", type="primary", icon=":material/play_arrow:"):
        run_id = start_demo(store)
        st.switch_page("pages/runs.py", query_params={"run": run_id})


def _how_to_post(store: Store) -> None:
    address = f"http://{store.settings.api_host}:{store.settings.api_port}/api/finetune"
    st.caption("Post corrected images to start a run; docs/user-guide.md shows what feedback.json holds.")
    st.code(
        f"curl --json @feedback.json {address}",
        language="bash",
        wrap_lines=True,
    )


def waiting(store: Store) -> None:
    """The queue, next one first."""
    with st.container(border=True):
        st.subheader("Waiting", anchor=False)
        queue = _in_states(store, "interrupted", "queued")
        for run in queue[:_QUEUE_SHOWN]:
            _run_line(run)
        if len(queue) > _QUEUE_SHOWN:
            st.caption(f"and {len(queue) - _QUEUE_SHOWN} more")
        if not queue:
            st.caption("Nothing waits: the next batch of feedback starts at once.")


def _in_states(store: Store, *states: RunStatus) -> list[RunView]:
    found = [run for state in states for run in list_runs(store, status=state, limit=_QUEUE_LOOKED_AT)]
    return sorted(found, key=attrgetter("id"))


def _run_line(run: RunView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        link_to(run.id)
        status_badge(run)
        told = [ago(moment(run.created_at)), f"by {plain(run.actor)}"]
        if run.status == "queued":
            told.append(place_in_short(run, frame.timezone()))
        st.caption(", ".join(told), width="content")


def lately(store: Store) -> None:
    """The last promotions and the last runs that ended."""
    with st.container(border=True):
        st.subheader("Lately", anchor=False)
        # A run that published says so in its own line.
        news = [_published(entry) for entry in ledger(store, limit=_NEWS_SHOWN) if entry.run_id is None]
        news += [_ended(run) for run in list_runs(store) if run.status in ENDED]
        if not news:
            nothing_here("Nothing has happened yet", "Promotions and finished runs are listed here.")
            return
        latest = sorted(news, reverse=True)[:_NEWS_SHOWN]
        rows = [{"When": local_time(when, frame.timezone()), "What": line} for when, line in latest]
        st.table(rows, border="horizontal", hide_index=True, hide_header=True, alt="What happened lately.")


def _published(entry: LedgerEntry) -> News:
    action = "rolled back to" if entry.action == "rollback" else "made"
    what = f"{plain(entry.actor)} {action} **{short_id(entry.checkpoint_id)}** the champion"
    return entry.created_at, f":material/military_tech: {what}: {plain(entry.reason)}"


def _ended(run: RunView) -> News:
    line = f"{outcome_icon(run)} **{short_id(run.id)}** {outcome(run)}"
    return moment(run.finished_at or run.created_at), line
