"""What a run takes of the machine that it runs on, and when it last gave a sign of life."""

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.schemas import RunView
from core.store.claims import BEAT_INTERVAL_S
from pages._ui.words import duration, gibibytes, moment

_SILENT_S = 4 * BEAT_INTERVAL_S
# In a line of text the figures break where the screen ends; between rows of widgets there is much space.
_GAP = 3 * "\N{EM SPACE}"


def draw(run: RunView, load: dict[str, Any] | None) -> None:
    """The panel.

    Args:
        run: One that somebody works on.
        load: Payload of its newest `load` event, if it sent one.
    """
    if run.heartbeat_at is None:
        return
    # By the clock of the host that works: one that is ahead of ours reads as now.
    silent_s = (datetime.now(UTC) - moment(run.heartbeat_at)).total_seconds()
    with st.container(border=True):
        st.markdown(_GAP.join(_figures(load, silent_s)) if silent_s < _SILENT_S else _silence(silent_s))


def _silence(silent_s: float) -> str:
    return (
        f":material/heart_broken: **No sign of life for {duration(silent_s)}.** "
        "If it stays silent, another worker goes on with the run within a minute."
    )


def _figures(load: dict[str, Any] | None, silent_s: float) -> list[str]:
    alive = f":material/ecg_heart: Last sign of life {duration(silent_s)} ago"
    figures = [alive, *(_taken(load) if load else [])]
    return [figure.replace(" ", "\N{NO-BREAK SPACE}") for figure in figures]


def _taken(load: dict[str, Any]) -> list[str]:
    cores, memory = load["cpu_percent"] / 100, gibibytes(load["memory_bytes"])
    return [
        f":material/developer_board: Processor **{cores:.1f} cores**",
        f":material/memory_alt: Memory **{memory}**, host {load['host_memory_percent']:.0f} % full",
        *(_gpu(index, gpu) for index, gpu in enumerate(load["gpus"])),
    ]


def _gpu(index: int, gpu: dict[str, Any]) -> str:
    used, total = gibibytes(gpu["memory_bytes"]), gibibytes(gpu["memory_total_bytes"])
    return f":material/memory: GPU {index} **{gpu['load_percent']} %**, {used} of {total}"
