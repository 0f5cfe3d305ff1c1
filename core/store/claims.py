"""Who works on a run: one owner at a time, proven by a fence number that every write is checked against.

An owner gives signs of life by raising the run's `beats`. Whether one is dead is judged by its beats standing
still while somebody watches, on the watcher's own monotonic clock: no clock of any host is compared with
another, so a clock that is set forward or back takes nobody's run away.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.errors import ClaimLost, RunCancelled, RunnerDied
from core.store import Store
from core.store.runs import append_event, locked, move
from core.store.states import WORKING
from core.store.tables import Run, utc_now

BEAT_INTERVAL_S = 3.0
"""How often an owner gives a sign of life."""
SILENT_BEFORE_PAUSE_S = 40.0
"""An owner that could not give one for so long stops working, before anybody may take its run."""
SILENT_BEFORE_TAKEOVER_S = 45.0
"""An owner whose beats stand still for so long is dead: with the looks in between, under 60 seconds."""
MOST_SETBACKS = 5
"""So many owners may be lost in a row without the run getting on; it would kill the next one too."""


@dataclass(frozen=True)
class Claim:
    """The right to work on a run, until somebody else raises its fence."""

    run_id: str
    fence: int


def take_next(store: Store, owner_id: str) -> Claim | None:
    """Take the run that has waited longest, or none if none waits."""
    if not anyone_waits(store):
        return None
    with store.database.write() as session:
        oldest = sa.select(Run).where(Run.status == "queued").order_by(Run.id).limit(1)
        run = session.scalar(oldest.with_for_update(skip_locked=True))
        return take(session, run, owner_id) if run else None


def anyone_waits(store: Store) -> bool:
    """Whether a run is queued; cheap enough to be asked ten times a second."""
    with store.database.read() as session:
        return session.scalar(sa.select(Run.id).where(Run.status == "queued").limit(1)) is not None


def take(session: Session, run: Run, owner_id: str) -> Claim:
    """Become the owner of a queued run, in the caller's transaction."""
    run.fence += 1
    run.owner_id, run.heartbeat_at = owner_id, utc_now()
    move(session, run, "preparing")
    append_event(session, run, "owner", {"owner": owner_id, "fence": run.fence})
    return Claim(run.id, run.fence)


def under(store: Store, claim: Claim) -> Store:
    """The store as the owner uses it: every writing transaction is refused once the claim is lost."""

    def refuse_if_lost(session: Session) -> None:
        check(session, claim)

    return store.guarded(refuse_if_lost)


def check(session: Session, claim: Claim) -> Run:
    """The run, locked, if its owner may still write.

    Raises:
        ClaimLost: If somebody else has taken the run, or it has ended.
        RunCancelled: If it is to be cancelled: from then on nothing more is written for it.
    """
    run = locked(session, claim.run_id)
    if run.fence != claim.fence or run.owner_id is None:
        raise ClaimLost(f"Run {claim.run_id} has passed to another owner, or has ended: this one stops.")
    if run.wanted == "cancel":
        raise RunCancelled(f"Run {claim.run_id} was cancelled.", run_id=claim.run_id)
    return run


def beat(session: Session, claim: Claim) -> Run:
    """Give a sign of life, in the caller's transaction; raises as `check` does."""
    run = check(session, claim)
    run.beats += 1
    run.heartbeat_at = utc_now()
    return run


def end_cancelled(store: Store, claim: Claim) -> None:
    """End a cancelled run once nothing of it is left; no effect if the claim is lost."""
    with store.database.write() as session:
        run = locked(session, claim.run_id)
        if run.fence == claim.fence and run.status in WORKING:
            move(session, run, "cancelled")


def hand_back(store: Store, claim: Claim, *, lost: RunnerDied | None = None) -> None:
    """Put a run back into the queue, at its old place; no effect if the claim is lost.

    Args:
        store: Where the run is.
        claim: Of the owner that ends.
        lost: Why, if the owner died instead of being told to end. After too many of these in a row the
            run fails with it.
    """
    with store.database.write() as session:
        run = locked(session, claim.run_id)
        if run.fence == claim.fence and run.status in WORKING:
            _put_back(session, run, lost)


def _put_back(session: Session, run: Run, lost: RunnerDied | None) -> None:
    # The fence goes up at once: whoever still works on the run is to stop before anybody else starts.
    run.fence += 1
    run.setbacks += lost is not None
    move(session, run, "interrupted")
    run.owner_id = None
    if lost is not None and run.setbacks >= MOST_SETBACKS:
        run.error = lost.as_dict()
        move(session, run, "failed")
    elif run.wanted == "cancel":
        move(session, run, "cancelled")
    else:
        move(session, run, "queued")


def put_back_runs_of(store: Store, owner_prefix: str) -> list[str]:
    """Put back what owners of this prefix worked on, of whom the caller knows that they are dead.

    Returns:
        The ids of those runs.
    """
    is_owned = Run.owner_id.startswith(owner_prefix, autoescape=True)
    owned = sa.select(Run).where(Run.status.in_(WORKING), is_owned)
    with store.database.write() as session:
        found = list(session.scalars(owned.with_for_update()))
        for run in found:
            _put_back(session, run, _owner_lost(run))
    return [run.id for run in found]


def _owner_lost(run: Run) -> RunnerDied:
    return RunnerDied(
        f"Whoever worked on the run ({run.owner_id}) is gone, {run.setbacks + 1} times without getting on. "
        "Look at the host's memory and system log, then retry the run with a smaller batch_size."
    )


class Watch:
    """Looks at owners' beats from time to time and puts back the runs of those that stand still."""

    def __init__(self, store: Store, clock: Callable[[], float] = monotonic) -> None:
        """Take the store to look at and a clock, in seconds, that nobody can set."""
        self._store, self._clock = store, clock
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}

    def look(self) -> list[str]:
        """Look once; call it every few seconds.

        Returns:
            The ids of the runs that were put back.
        """
        try:
            working = self._working()
        except SQLAlchemyError:
            # Who could not be heard is not dead: when the database is back, the watch begins anew.
            self._seen.clear()
            raise
        now = self._clock()
        self._seen = {
            run.id: seen if (seen := self._seen.get(run.id)) and seen[0] == _life(run) else (_life(run), now)
            for run in working
        }
        dead = [run for run in working if now - self._seen[run.id][1] >= SILENT_BEFORE_TAKEOVER_S]
        return [run.id for run in dead if self._put_back(run)]

    def _working(self) -> list[Run]:
        with self._store.database.read() as session:
            return list(session.scalars(sa.select(Run).where(Run.status.in_(WORKING))))

    def _put_back(self, seen: Run) -> bool:
        with self._store.database.write() as session:
            run = locked(session, seen.id)
            if run.status not in WORKING or _life(run) != _life(seen):
                return False
            _put_back(session, run, _owner_lost(run))
            return True


def _life(run: Run) -> tuple[int, int]:
    return run.fence, run.beats
