"""Health of the host that serves the dashboard, and of the workers."""

import platform

import psutil
import streamlit as st

from core.jobs.service import live_workers
from core.store import Store
from core.store.tables import Worker
from pages._ui.notes import nothing_here
from pages._ui.words import ago, gibibytes, plain

_LOAD_WINDOW_S = 0.1


def draw(store: Store) -> None:
    """Load, memory and disk of this host, then each worker with its heartbeat."""
    with st.container(border=True):
        st.subheader("Host", anchor=False)
        draw_load(store)
        workers = live_workers(store)
        for worker in workers:
            _worker(worker)
        if not workers and store.settings.worker_autostart:
            st.caption("No worker now: the next run starts one.")
        elif not workers:
            nothing_here("No worker is alive", "Runs wait until you start one: python -m core.jobs.worker")


def draw_load(store: Store) -> None:
    """Load, memory and disk of this host as bars."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(store.settings.home))
    # Without a window psutil compares with the last call of the same thread, and each refresh has its own.
    processor = psutil.cpu_percent(interval=_LOAD_WINDOW_S)
    st.progress(processor / 100, text=f"Processor {processor:.0f} % busy")
    st.progress(memory.percent / 100, text=f"Memory, {gibibytes(memory.available)} free")
    st.progress(disk.percent / 100, text=f"Disk, {gibibytes(disk.free)} free")


def _worker(worker: Worker) -> None:
    place = "this host" if worker.host == platform.node() else plain(worker.host)
    st.markdown(
        f":material/memory: Worker on **{place}**, device {plain(worker.device)}, process {worker.pid}"
    )
    st.caption(f"Heard {ago(worker.heartbeat_at)}, started {ago(worker.started_at)}")
