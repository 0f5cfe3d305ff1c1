"""Live state beside every screen: what is live, what runs, who works, how much room is left."""

import psutil
import streamlit as st

from core.evaluation.metrics import MAP50_95
from core.jobs.service import live_workers
from core.store import Store
from core.store.run_views import count_by_status
from pages._ui.champion import live_model
from pages._ui.progress import LIVE
from pages._ui.words import ago, count, gibibytes, points

_EVERY_S = 5


@st.fragment(run_every=_EVERY_S)
def draw(store: Store) -> None:
    """The whole sidebar below the navigation."""
    free_bytes = psutil.disk_usage(str(store.settings.home)).free
    with st.container(gap="xxsmall"):
        st.markdown("**Now**")
        st.caption(f":material/military_tech: {_champion(store)}")
        st.caption(f":material/model_training: {_queue(store)}")
        st.caption(f":material/memory: {_worker(store)}")
        st.caption(f":material/hard_drive: {gibibytes(free_bytes)} free")


def _champion(store: Store) -> str:
    model = live_model(store)
    if model is None:
        return "No champion yet"
    score = f", mAP50-95 {points(model.metrics.get(MAP50_95))}" if model.metrics else ""
    return f"{model.name}{score}"


def _queue(store: Store) -> str:
    counts = count_by_status(store)
    waiting = counts["queued"] + counts["interrupted"]
    return f"{sum(counts[status] for status in LIVE)} running, {waiting} waiting"


def _worker(store: Store) -> str:
    workers = live_workers(store)
    if not workers:
        return "No worker now"
    return f"{count(len(workers), 'worker')}, heard {ago(workers[0].heartbeat_at)}"
