"""This host's load, and every worker: whether it lives, what it works on, what its host has left."""

import platform

import streamlit as st

from core.jobs.hosts import WorkerView, list_workers
from core.store import Store
from pages._ui import frame, host
from pages._ui.notes import nothing_here
from pages._ui.run_list import link_to
from pages._ui.words import ago, gibibytes, local_time, plain

_EVERY_S = 2


@st.fragment(run_every=_EVERY_S)
def draw(store: Store) -> None:
    """The whole part, kept up to date."""
    left, right = st.columns([2, 3], gap="medium")
    with left, st.container(border=True):
        st.subheader("This host", anchor=False)
        host.draw_load(store)
        st.caption(f"{plain(platform.node())}, the machine that serves this dashboard.")
    with right, st.container(border=True):
        st.subheader("Workers", anchor=False)
        _workers(store, list_workers(store))


def _workers(store: Store, workers: list[WorkerView]) -> None:
    for index, worker in enumerate(workers):
        if index:
            st.divider()
        with st.container(gap="xsmall"):
            _worker(worker)
    if workers:
        return
    if store.settings.worker_autostart:
        nothing_here("No worker now", "The next run starts one. None has been silent within a day.")
    else:
        nothing_here("No worker is alive", "Runs wait until you start one: python -m core.jobs.worker")


def _worker(worker: WorkerView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/memory: **{plain(worker.host)}**", width="content")
        _state(worker)
        if worker.run_id:
            link_to(worker.run_id)
    if worker.room:
        st.markdown(_room(worker.room))
    st.caption(
        f"Device {plain(worker.device)}, process {worker.pid}. Heard {ago(worker.heartbeat_at)}, "
        f"started {local_time(worker.started_at, frame.timezone())}."
    )
    if not worker.is_alive:
        st.caption(
            "It did not say good-bye: it was killed, or is cut off. Its run goes on with another worker."
        )


def _state(worker: WorkerView) -> None:
    if not worker.is_alive:
        st.badge("silent", icon=":material/heart_broken:", color="red")
    elif worker.run_id:
        st.badge("at work", icon=":material/model_training:", color="blue")
    else:
        st.badge("waits for a run", icon=":material/check:", color="green")


def _room(room: dict[str, int]) -> str:
    memory = f"{gibibytes(room['memory_free_bytes'])} of {gibibytes(room['memory_total_bytes'])} memory free"
    disk = f"{gibibytes(room['disk_free_bytes'])} of {gibibytes(room['disk_total_bytes'])} disk free"
    return f"{memory}, {disk}"
