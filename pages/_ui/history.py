"""A run's progress as its events tell it, read once and then only what is new."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.store import Store
from core.store.runs import events_after

LOG_LINES_KEPT = 200
_PLACES = ("status", "phase", "batch", "retry")
_KINDS = (*_PLACES, "epoch", "resumed", "load", "log", "wanted")

Payload = dict[str, Any]


@dataclass
class History:
    """What one run has told so far; `read` adds what it told since.

    Attributes:
        run_id: The run.
        seq: Number of the newest event that was read.
        place: Kind and payload of the newest event that says where the run stands.
        batches: Payloads of `batch` events, in order of their step.
        epochs: Payloads of `epoch` events, in order of their epoch.
        log_lines: The newest lines of its log, as its worker sent them.
        newest: The newest payload of each other kind.
    """

    run_id: str
    seq: int = 0
    place: tuple[str, Payload] = ("status", {})
    batches: list[Payload] = field(default_factory=list)
    epochs: list[Payload] = field(default_factory=list)
    log_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES_KEPT))
    newest: dict[str, Payload] = field(default_factory=dict)

    def read(self, store: Store) -> None:
        """Add what is new."""
        for event in events_after(store, self.run_id, self.seq, _KINDS):
            self.seq = event.seq
            self._add(event.kind, event.payload)

    def _add(self, kind: str, payload: Payload) -> None:
        if kind in _PLACES:
            self.place = kind, payload
        if kind == "batch":
            self._forget_steps_after(payload["step"] - 1)
            self.batches.append(payload)
        elif kind == "resumed":
            self._forget_steps_after(payload["step"])
        elif kind == "epoch":
            self.epochs.append(payload)
        elif kind == "log":
            self.log_lines.extend(payload["lines"])
        else:
            self.newest[kind] = payload

    def _forget_steps_after(self, step: int) -> None:
        # A run that goes on after its worker died does the steps of the unfinished epoch once more.
        while self.batches and self.batches[-1]["step"] > step:
            self.batches.pop()

    @property
    def phase(self) -> Payload | None:
        """The `phase` payload, if that is the newest word on where the run stands."""
        return self._at("phase")

    @property
    def batch(self) -> Payload | None:
        """The `batch` payload, if that is the newest word on where the run stands."""
        return self._at("batch")

    def _at(self, kind: str) -> Payload | None:
        return self.place[1] if self.place[0] == kind else None


def history_of(store: Store, run_id: str) -> History:
    """The viewer's history of this run, brought up to date."""
    known: dict[str, History] = st.session_state.setdefault("histories", {})
    history = known.setdefault(run_id, History(run_id))
    history.read(store)
    return history
