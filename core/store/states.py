"""The states of a run, and which may follow which.

queued → preparing → training → evaluating → succeeded
   └─────────┴──────────┴───────────┴──→ failed | cancelled
             └──────────┴───────────┴──→ interrupted → queued

The same table is in the database, where a trigger refuses every other step.
"""

from core.schemas import RunStatus


def _states(*states: RunStatus) -> frozenset[RunStatus]:
    return frozenset(states)


ENDED = _states("succeeded", "failed", "cancelled")
WORKING = _states("preparing", "training", "evaluating")
"""A run in one of these has an owner; in every other it has none."""

_ABORTS = _states("failed", "cancelled", "interrupted")
NEXT: dict[RunStatus, frozenset[RunStatus]] = {
    "queued": _states("preparing", "failed", "cancelled"),
    # Straight to evaluating when a run is taken up again that had learned before.
    "preparing": _ABORTS | _states("training", "evaluating"),
    "training": _ABORTS | _states("evaluating"),
    "evaluating": _ABORTS | _states("succeeded"),
    "interrupted": _states("queued", "failed", "cancelled"),
    "succeeded": _states(),
    "failed": _states(),
    "cancelled": _states(),
}
