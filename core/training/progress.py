"""What a run says of itself while it works."""

import logging
import time
from collections.abc import Callable
from typing import Any

from core.config import Settings
from core.store import Store, runs
from core.training.isolation import PRODUCT_LOGGER

Report = Callable[[str, dict[str, Any]], None]
"""Takes an event's kind and payload; docs/api.md lists both."""

EVENT_INTERVAL_S = 0.5


def reporter(store: Store, run_id: str, also: Report | None = None) -> Report:
    """Write a run's events to the store and its log, and hand them to a caller who asked.

    Steps of one phase, and batches, are thinned to two a second; their last one always goes through.

    Args:
        store: Where the run is kept.
        run_id: The run.
        also: Called with each event that is written, in the same order.
    """
    last_told_s: dict[str, float] = {}

    def report(kind: str, payload: dict[str, Any]) -> None:
        topic = str(payload.get("phase", kind))
        if _is_step(payload) and time.monotonic() - last_told_s.get(topic, 0.0) < EVENT_INTERVAL_S:
            return
        last_told_s[topic] = time.monotonic()
        logging.getLogger(PRODUCT_LOGGER).info("%s", _sentence(kind, payload))
        runs.add_event(store, run_id, kind, payload)
        if also is not None:
            also(kind, payload)

    return report


def _is_step(payload: dict[str, Any]) -> bool:
    done, total = (
        payload.get(*names) for names in (("step", payload.get("done")), ("steps", payload.get("total")))
    )
    return total is not None and done != total


def _sentence(kind: str, payload: dict[str, Any]) -> str:
    if kind == "phase":
        return (
            f"{payload['phase']} {payload['done']}/{payload['total']}"
            if payload["total"]
            else payload["phase"]
        )
    return f"{kind} " + " ".join(f"{name}={value}" for name, value in payload.items())


class DetachedReport:
    """A report for the processes of a multi-GPU run: it is pickled, and opens the store where it wakes up."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        """Take what is needed to open the store elsewhere."""
        self._settings, self._run_id = settings, run_id
        self._report: Report | None = None

    def __call__(self, kind: str, payload: dict[str, Any]) -> None:
        """Write the event."""
        if self._report is None:
            self._report = reporter(Store.open(self._settings), self._run_id)
        self._report(kind, payload)
