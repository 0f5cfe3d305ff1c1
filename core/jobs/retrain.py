"""Runs that learn from all that was approved: asked for, or started by themselves at a threshold."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.config import Settings
from core.dataset import feedback_set
from core.dataset.feedback_set import Waiting
from core.jobs import bell
from core.jobs.bell import Listener
from core.schemas import RetrainRequest
from core.store import Store, runs
from core.store.states import ENDED
from core.store.tables import Run, utc_now

DAY = timedelta(days=1)
_LOOK_EVERY_S = 60.0
_LOCK = "retrain"


def queue(session: Session, request: RetrainRequest, *, source: str, actor: str) -> Run:
    """Add a queued run on all that was approved and that no champion has learned from.

    Which samples that is, is decided when the run prepares; it counts them here to tell how long it may take.

    Args:
        session: Of the caller's transaction.
        request: How to learn.
        source: Who asks: `api`, `dashboard` or `threshold`.
        actor: In whose name.

    Raises:
        NothingApproved: If nothing waits to be learned from.
    """
    waiting = feedback_set.waiting(session)
    if waiting.newest_batch_id is None:
        raise feedback_set.nothing_approved(session)
    return runs.create_retrain(
        session, waiting.newest_batch_id, request, source=source, actor=actor, image_count=waiting.count
    )


class Thresholds:
    """Starts a run once enough approved samples wait, or one has waited for long enough."""

    def __init__(self, store: Store, clock: Callable[[], float] = monotonic) -> None:
        """Take the store to look at, and a clock in seconds."""
        self._store, self._clock = store, clock
        self._bell = Listener(store.settings)
        self._looked_s = float("-inf")

    def look(self) -> str | None:
        """Look, if a minute has passed or the bell has rung since the last time; call it every few seconds.

        Returns:
            The id of the run that was started, if one was.
        """
        settings = self._store.settings
        if not (settings.retrain_samples or settings.retrain_days):
            return None
        if not self._bell.has_rung() and self._clock() - self._looked_s < _LOOK_EVERY_S:
            return None
        self._looked_s = self._clock()
        return start_if_due(self._store)


def start_if_due(store: Store) -> str | None:
    """Start a run if a threshold is reached: one, however many processes and hosts look at the same time.

    Returns:
        Its id.
    """
    with store.database.read() as session:
        if _reached(session, store.settings) is None:
            return None
    with store.database.write() as session:
        store.database.exclusive(session, _LOCK)
        reached = _reached(session, store.settings)
        if reached is None:
            return None
        run = queue(session, RetrainRequest(note=reached), source="threshold", actor="system")
    bell.ring(store.settings)
    return run.id


def _reached(session: Session, settings: Settings) -> str | None:
    """Which threshold is reached, in a sentence; none while such a run goes on, or is too short ago."""
    if _has_to_wait(session, timedelta(hours=settings.retrain_cooldown_hours)):
        return None
    # What a candidate has learned that was then not published would give the same candidate again.
    waiting = feedback_set.waiting(session, for_any_checkpoint=True)
    if 0 < settings.retrain_samples <= waiting.count:
        return (
            f"Started by itself: {waiting.count} approved samples were waiting, "
            f"TMS_RETRAIN_SAMPLES is {settings.retrain_samples}."
        )
    if settings.retrain_days and _waited(waiting) >= settings.retrain_days * DAY:
        return (
            f"Started by itself: an approved sample had waited for {_waited(waiting) / DAY:.1f} days, "
            f"TMS_RETRAIN_DAYS is {settings.retrain_days:g}."
        )
    return None


def _has_to_wait(session: Session, cooldown: timedelta) -> bool:
    too_early = sa.or_(Run.status.not_in(ENDED), Run.created_at > utc_now() - cooldown)
    query = sa.select(Run.id).where(Run.learns_from == "approved", too_early).limit(1)
    return session.scalar(query) is not None


def _waited(waiting: Waiting) -> timedelta:
    return utc_now() - waiting.since if waiting.since else timedelta()
