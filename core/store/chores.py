"""Chores: what a batch waits for although no run does it. It is taken in, and the champion looks at it.

An attempt is noted before it is made, so that a batch that kills whoever works on it is not tried again at
once, and lets the others pass.
"""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.store import Store
from core.store.states import ENDED
from core.store.tables import Batch, LedgerEntry, Run, utc_now
from core.store.tables.feedback import HAS_CHORE

FIRST_PAUSE = timedelta(seconds=10)
"""After an attempt that showed nothing; each further one quadruples it, up to the longest."""
LONGEST_PAUSE = timedelta(hours=1)
EDITING_PAUSE = timedelta(minutes=10)
"""So long after the newest change of its boxes a batch is scored again."""
_DID_NOT_END = "The process that worked on it ended before it was done; logs/worker.log may say why."


def is_any_due(session: Session, *, beside_run: bool = False) -> bool:
    """Whether a batch waits and may be attempted; cheap enough to be asked every second.

    Args:
        session: To ask in.
        beside_run: Count only what may be done while a run has the device: taking in.
    """
    return session.scalar(_due(beside_run).with_only_columns(Batch.id).limit(1)) is not None


def begin_next(store: Store, *, beside_run: bool = False) -> Batch | None:
    """Note an attempt at the batch that has waited longest, and give it; none if none is due."""
    with store.database.read() as session:
        if not is_any_due(session, beside_run=beside_run):
            return None
    with store.database.write() as session:
        batch = session.scalar(_due(beside_run).limit(1).with_for_update(skip_locked=True))
        if batch is not None:
            batch.chore_attempts += 1
            batch.chore_due_at = utc_now() + pause_after(batch.chore_attempts)
            batch.chore_error = _DID_NOT_END
        return batch


def got_on(session: Session, batch_id: str) -> None:
    """Note that the attempt, if this is one, has something to show that stays if it is broken off here."""
    attempted = sa.update(Batch).where(Batch.id == batch_id, Batch.chore_attempts > 0)
    session.execute(attempted.values(chore_attempts=1, chore_due_at=utc_now() + FIRST_PAUSE))


def done(store: Store, looked_at: Batch) -> None:
    """Note that all was done which the batch waited for, unless more of it was taken in meanwhile.

    Args:
        store: Where it is.
        looked_at: The batch as it was when the champion began to look at it.
    """
    with store.database.write() as session:
        batch = session.get_one(Batch, looked_at.id, with_for_update=True)
        if batch.taken_in_at is not None and batch.taken_in_at == looked_at.taken_in_at:
            # The clock of the host that took it in may be ahead of this one's.
            batch.predicted_at = max(utc_now(), batch.taken_in_at)
        _forget_attempts(session, batch.id)


def pause(store: Store, batch_id: str) -> None:
    """Note that the attempt ends here for no fault of the batch: what is left may be begun at once."""
    with store.database.write() as session:
        _forget_attempts(session, batch_id)


def fail(store: Store, batch_id: str, reason: str) -> None:
    """Note why the attempt failed; the next is made after a pause."""
    with store.database.write() as session:
        batch = session.get_one(Batch, batch_id, with_for_update=True)
        batch.chore_due_at = utc_now() + pause_after(batch.chore_attempts)
        batch.chore_error = reason


def score_again(batch: Batch) -> None:
    """Have a batch that was done looked at again, once nobody has changed its boxes for a while."""
    batch.predicted_at, batch.chore_due_at = None, utc_now() + EDITING_PAUSE


def pause_after(attempts: int) -> timedelta:
    """How long a batch is left alone after so many attempts that came to nothing."""
    return min(FIRST_PAUSE * int(4 ** min(attempts - 1, 10)), LONGEST_PAUSE)


def _due(beside_run: bool) -> sa.Select[Batch]:
    now = utc_now()
    # A time further ahead than any pause was written by a clock that has been set back since.
    is_due = sa.or_(
        Batch.chore_due_at.is_(None),
        Batch.chore_due_at <= now,
        Batch.chore_due_at > now + LONGEST_PAUSE,
    )
    its_run = sa.select(Run.id).where(
        Run.batch_id == Batch.id, Run.learns_from == "batch", Run.status.not_in(ENDED)
    )
    is_nobodys = sa.or_(Batch.taken_in_at.is_not(None), ~its_run.exists())
    due = sa.select(Batch).where(sa.text(f"({HAS_CHORE})"), is_due, is_nobodys).order_by(Batch.id)
    if not beside_run:
        return due
    # The first run makes the first champion, without which nothing can be taken in.
    return due.where(Batch.taken_in_at.is_(None), sa.select(LedgerEntry.id).exists())


def _forget_attempts(session: Session, batch_id: str) -> None:
    forget = sa.update(Batch).where(Batch.id == batch_id)
    session.execute(forget.values(chore_attempts=0, chore_due_at=None, chore_error=None))
