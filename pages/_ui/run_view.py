"""One run: its way while it works, its result when it ended."""

import streamlit as st

from core.schemas import RunView
from core.store import Store
from core.store.runs import ENDED, get_run
from pages._ui import charts, frame, result
from pages._ui.history import History, history_of
from pages._ui.log_tail import log_tail
from pages._ui.notes import nothing_here, problem
from pages._ui.progress import progress_bar, status_badge
from pages._ui.words import duration, local_time, moment, plain, short_id, small_number

_EVERY_S = 1


def draw(store: Store, run: RunView) -> None:
    """The whole screen of one run; refreshed by itself until the run has ended."""
    is_live = run.status not in ENDED
    st.fragment(run_every=_EVERY_S if is_live else None)(_screen)(store, run.id, is_live)


def _screen(store: Store, run_id: str, is_live: bool) -> None:
    run, history = get_run(store, run_id), history_of(store, run_id)
    _heading(run)
    # One place for both, so that nothing else moves to another when the run ends.
    with st.container():
        if run.status in ENDED:
            _outcome(store, run)
        else:
            progress_bar(run, history)
            _pace(history)
    _curves(history)
    log_tail(store, run_id)
    if is_live and run.status in ENDED:
        # Once more as a whole: that ends the refreshing.
        st.rerun()


def _outcome(store: Store, run: RunView) -> None:
    if run.error:
        problem(run.error)
        result.failure(run.error)
    if run.summary:
        result.draw(store, run.summary)
    if run.status == "cancelled":
        nothing_here("This run was cancelled", "Post the batch again to start a new one.")


def _heading(run: RunView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(f"Run {short_id(run.id).removeprefix('run-')}", anchor=False, width="content")
        status_badge(run)
    st.caption(_origin(run))
    if run.note:
        st.caption(f"Note: {plain(run.note)}")


def _origin(run: RunView) -> str:
    when = local_time(moment(run.created_at), frame.timezone())
    posted = f"Posted {when} by {plain(run.actor)} ({plain(run.source)})"
    if run.started_at and run.finished_at:
        took = (moment(run.finished_at) - moment(run.started_at)).total_seconds()
        return f"{posted}, took {duration(took)}. Id {run.id}"
    return f"{posted}. Id {run.id}"


def _pace(history: History) -> None:
    batch = history.newest_batch
    if batch is None:
        return
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
