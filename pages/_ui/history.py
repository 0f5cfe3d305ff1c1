"""A run's progress as its events tell it, read once and then only what is new."""

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.store import Store
from core.store.runs import events_after

_KINDS = ("status", "phase", "batch", "epoch")


@dataclass
class History:
    """What one run has told so far; `read` adds what it told since.

    Attributes:
        run_id: The run.
        seq: Number of the newest event that was read.
        phase: Payload of the newest `phase` event of the present state, if it told one.
        batches: Payloads of `batch` events, in order of their step.
        epochs: Payloads of `epoch` events, in order of their epoch.
    """

    run_id: str
    seq: int = 0
    phase: dict[str, Any] | None = None
    batches: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)

    def read(self, store: Store) -> None:
        """Add what is new."""
        for event in events_after(store, self.run_id, self.seq, _KINDS):
            self.seq = event.seq
            self._add(event.kind, event.payload)

    def _add(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "status":
            self.phase = None
        elif kind == "phase":
            self.phase = payload
        elif kind == "batch":
            _append_in_order(self.batches, payload, "step")
        else:
            _append_in_order(self.epochs, payload, "epoch")

    @property
    def newest_batch(self) -> dict[str, Any] | None:
        """The latest `batch` payload, if training has begun."""
        return self.batches[-1] if self.batches else None


def _append_in_order(told: list[dict[str, Any]], payload: dict[str, Any], by: str) -> None:
    # A run that starts again after its host died tells its first steps a second time.
    while told and told[-1][by] >= payload[by]:
        told.pop()
    told.append(payload)


def history_of(store: Store, run_id: str) -> History:
    """The viewer's history of this run, brought up to date."""
    known: dict[str, History] = st.session_state.setdefault("histories", {})
    history = known.setdefault(run_id, History(run_id))
    history.read(store)
    return history
