"""Where a run stands, in words and as a share."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.schemas import RunStatus, RunView
from pages._ui.history import History
from pages._ui.queue import place_in_queue
from pages._ui.words import duration, plain

LIVE: frozenset[RunStatus] = frozenset({"preparing", "training", "evaluating"})
_BADGES: dict[RunStatus, tuple[str, str]] = {
    "queued": ("gray", ":material/hourglass_empty:"),
    "preparing": ("blue", ":material/downloading:"),
    "training": ("blue", ":material/model_training:"),
    "evaluating": ("blue", ":material/balance:"),
    "succeeded": ("green", ":material/check:"),
    "failed": ("red", ":material/error:"),
    "cancelled": ("gray", ":material/block:"),
    "interrupted": ("orange", ":material/power_off:"),
}
_AT_WORK: dict[RunStatus, str] = {
    "preparing": "Preparing the images",
    "training": "Getting ready to train",
    "evaluating": "Judging old and new weights",
    "interrupted": "Its worker is gone; it goes back into the queue",
}


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        words: One line for people.
        share: Done part of the present state from 0 to 1, if it is known.
    """

    words: str
    share: float | None = None


def progress_of(run: RunView, history: History, timezone: str | None) -> Progress:
    """Where a run that has not ended stands; times are told in the viewer's zone."""
    if run.status == "queued":
        return Progress(place_in_queue(run, timezone))
    if history.batch:
        return _training(history.batch)
    return _phase(history.phase) if history.phase else Progress(_AT_WORK[run.status])


def _training(batch: dict[str, Any]) -> Progress:
    words = (
        f"Epoch {batch['epoch']} of {batch['epochs']}, step {batch['step']:,} of {batch['steps']:,}, "
        f"about {duration(batch['eta_s'])} left"
    )
    return Progress(words, _share(batch["step"], batch["steps"]))


def _phase(phase: dict[str, Any]) -> Progress:
    name, done, total = plain(phase["phase"]), phase["done"], phase["total"]
    return Progress(f"{name}, {done:,} of {total:,}", _share(done, total)) if total else Progress(name)


def _share(done: int, total: int) -> float:
    return min(1.0, max(0.0, done / total))


def status_badge(run: RunView) -> None:
    """The run's state as a coloured word with an icon."""
    color, icon = _BADGES[run.status]
    st.badge(run.status, icon=icon, color=color)  # type: ignore[arg-type]


def progress_bar(run: RunView, history: History, timezone: str | None) -> None:
    """The line of words, with a bar where the share is known."""
    progress = progress_of(run, history, timezone)
    if progress.share is None:
        st.markdown(progress.words)
    else:
        st.progress(progress.share, text=progress.words)
