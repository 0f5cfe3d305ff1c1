"""One run: its way while it works, its result when it ended."""

import streamlit as st

from core.schemas import RunView
from core.store import Store
from core.store.run_views import get_run
from core.store.states import ENDED, WORKING
from pages._ui import actions, charts, frame, load, result
from pages._ui.history import History, Payload, history_of
from pages._ui.log_tail import log_tail
from pages._ui.notes import nothing_here, problem
from pages._ui.progress import progress_bar, status_badge
from pages._ui.run_list import link_to
from pages._ui.words import duration, local_time, moment, plain, short_id, small_number

_EVERY_S = 1


def draw(store: Store, run: RunView) -> None:
    """The whole screen of one run; refreshed by itself until the run has ended."""
    is_live = run.status not in ENDED
    st.fragment(run_every=_EVERY_S if is_live else None)(_screen)(store, run.id, is_live)


def _screen(store: Store, run_id: str, is_live: bool) -> None:
    history, run = history_of(store, run_id), get_run(store, run_id)
    _heading(store, run)
    # One place for both, so that nothing else moves to another when the run ends.
    with st.container():
        if run.status in ENDED:
            _outcome(store, run, history)
        else:
            _way(run, history)
    _curves(history)
    log_tail(store, history)
    if is_live and run.status in ENDED:
        # Once more as a whole: that ends the refreshing.
        st.rerun()


def _way(run: RunView, history: History) -> None:
    progress_bar(run, history, frame.timezone())
    if wish := actions.wish_words(run):
        st.markdown(f":material/hourglass_top: {wish}")
    if history.batch:
        _pace(history.batch)
    if run.status in WORKING:
        load.draw(run, history.newest.get("load"))


def _outcome(store: Store, run: RunView, history: History) -> None:
    if run.error:
        problem(run.error)
        result.failure(run.error)
    if run.summary:
        result.draw(store, run.summary)
    if run.status == "cancelled":
        _cancelled(history)


def _cancelled(history: History) -> None:
    wanted = history.newest.get("wanted")
    by = f" by {plain(wanted['by'])}" if wanted else ""
    nothing_here(f"This run was cancelled{by}", "Its feedback is kept: **Start again** learns from it anew.")


def _heading(store: Store, run: RunView) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.title(f"Run {short_id(run.id).removeprefix('run-')}", anchor=False, width="content")
            status_badge(run)
        with st.container(horizontal=True, width="content"):
            _actions(store, run)
    st.caption(_origin(run))
    if run.note:
        st.caption(f"Note: {plain(run.note)}")
    if run.continues_id:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption("Retry of", width="content")
            link_to(run.continues_id)


def _actions(store: Store, run: RunView) -> None:
    if run.status not in ENDED:
        actions.end_buttons(store, run)
    elif run.status != "succeeded":
        actions.retry_buttons(store, run)


def _origin(run: RunView) -> str:
    when = local_time(moment(run.created_at), frame.timezone())
    posted = f"Posted {when} by {plain(run.actor)} ({plain(run.source)})"
    if run.started_at and run.finished_at:
        took = (moment(run.finished_at) - moment(run.started_at)).total_seconds()
        return f"{posted}, took {duration(took)}. Id {run.id}"
    return f"{posted}. Id {run.id}"


def _pace(batch: Payload) -> None:
    figures = {
        "Epoch": f"{batch['epoch']} / {batch['epochs']}",
        "Step": f"{batch['step']:,} / {batch['steps']:,}",
        "Images a second": f"{batch['images_per_s']:.1f}",
        "Learning rate": small_number(batch["learning_rate"]),
        "Time left": duration(batch["eta_s"]),
    }
    for column, (label, value) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(label, value)


def _curves(history: History) -> None:
    if not history.batches:
        return
    left, right = st.columns(2, gap="medium")
    with left.container(border=True):
        st.subheader("Training loss", anchor=False)
        step = history.batches[-1]["step"]
        charts.draw("losses", charts.losses(history.batches), f"Training loss by step, up to step {step}.")
    with right.container(border=True):
        st.subheader("Score after each epoch", anchor=False)
        _scores(history)
    _learning_rate(history)


def _learning_rate(history: History) -> None:
    # Opening it asks the server: nothing is sent for it while it is closed.
    with st.expander("Learning rate", key="learning_rate_open", on_change="rerun") as expander:
        if expander.open:
            charts.draw("learning_rate", charts.learning_rates(history.batches), "Learning rate by step.")


def _scores(history: History) -> None:
    if not history.epochs:
        nothing_here("No epoch is done yet", "Scores on the tune split appear after the first one.")
        return
    alt = f"Scores on the tune split in points, up to epoch {history.epochs[-1]['epoch']}."
    charts.draw("scores", charts.epoch_metrics(history.epochs), alt)
