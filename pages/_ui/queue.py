"""A queued run's place and expected start, in words."""

from datetime import UTC, datetime

from core.schemas import RunView
from pages._ui.words import count, duration, local_time, moment

_SOON_S = 5


def place_in_queue(run: RunView, timezone: str | None) -> str:
    """The whole story of a queued run, as a line.

    Args:
        run: Queued.
        timezone: IANA name of the viewer's.
    """
    ahead = run.queue_position or 0
    place = f"Waiting behind {count(ahead, 'other run')}" if ahead else "Next in the queue"
    line = f"{place}, {_start(run, timezone)}"
    if not run.epochs_done:
        return line
    return f"Goes on behind epoch {run.epochs_done} as soon as a worker is free. {line}"


def place_in_short(run: RunView, timezone: str | None) -> str:
    """The same for a narrow column."""
    ahead = run.queue_position or 0
    return f"{f'behind {ahead}' if ahead else 'next'}, {_start(run, timezone)}"


def _start(run: RunView, timezone: str | None) -> str:
    if run.expected_start_at is None:
        return "start unknown yet"
    start = moment(run.expected_start_at)
    wait_s = (start - datetime.now(UTC)).total_seconds()
    if wait_s < _SOON_S:
        return "start expected within moments"
    return f"start expected in {duration(wait_s)} ({local_time(start, timezone)})"
