"""Runs as they are shown: one, all, and the queue with the time when each is expected to start."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heapreplace
from statistics import median
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.schemas import FineTuneSummary, Hyperparameters, RunStatus, RunView
from core.store import Store
from core.store.runs import unknown
from core.store.states import WORKING
from core.store.tables import Run, utc_now

_RUNS_TO_LEARN_FROM = 5


@dataclass(frozen=True)
class QueueOutlook:
    """What a run that is handed in now finds.

    Attributes:
        working: Runs that are worked on.
        waiting: Runs that wait, all of them ahead of it.
        wait_s: Seconds until it may start; None where nothing tells the pace of those ahead.
    """

    working: int
    waiting: int
    wait_s: float | None


def get_run(store: Store, run_id: str) -> RunView:
    """One run as it is shown.

    Raises:
        NotFound: If there is no such run.
    """
    with store.database.read() as session:
        run = session.get(Run, run_id)
        if run is None:
            raise unknown(run_id)
        return _view(run, _starts(session) if run.status == "queued" else {})


def list_runs(
    store: Store, *, limit: int = 50, before: str | None = None, status: RunStatus | None = None
) -> list[RunView]:
    """Runs, newest first.

    Args:
        store: Where they are kept.
        limit: At most this many.
        before: Only runs made before the run with this id, for paging.
        status: Only runs in this state.
    """
    query = sa.select(Run).order_by(Run.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Run.id < before)
    if status is not None:
        query = query.where(Run.status == status)
    with store.database.read() as session:
        found = list(session.scalars(query))
        starts = _starts(session) if any(run.status == "queued" for run in found) else {}
        return [_view(run, starts) for run in found]


def count_by_status(store: Store) -> dict[RunStatus, int]:
    """How many runs are in each state, states without a run included."""
    query = sa.select(Run.status, sa.func.count()).group_by(Run.status)
    with store.database.read() as session:
        found: dict[str, int] = dict(session.execute(query).all())
    return {status: found.get(status, 0) for status in get_args(RunStatus)}


def expected_duration_s(store: Store, images: int, epochs: int) -> float | None:
    """Seconds that a run may take from its start to its end, or None before any run has succeeded.

    Args:
        store: Where earlier runs are kept.
        images: Of one epoch.
        epochs: How many.
    """
    with store.database.read() as session:
        pace = _seconds_per_image(session)
    return round(pace * images * epochs, 1) if pace is not None else None


def queue_outlook(store: Store) -> QueueOutlook:
    """Where a run that is handed in now would stand, and when it may start."""
    with store.database.read() as session:
        queued = _queued(session)
        working = session.scalar(sa.select(sa.func.count()).where(Run.status.in_(WORKING))) or 0
        pace = _seconds_per_image(session)
        if not (queued or working):
            return QueueOutlook(0, 0, 0.0)
        return QueueOutlook(working, len(queued), _wait_s(session, queued, pace) if pace else None)


def _wait_s(session: Session, queued: list[Run], pace: float) -> float:
    durations_s = [pace * _image_passes(run) for run in queued]
    return start_times(_remaining_s(session, pace), [*durations_s, 0.0])[-1]


def _view(run: Run, starts: dict[str, datetime | None]) -> RunView:
    start = starts.get(run.id)
    return RunView(
        id=run.id,
        status=run.status,
        source=run.source,
        actor=run.actor,
        note=run.note,
        learns_from=run.learns_from,
        batch_id=run.batch_id,
        created_at=run.created_at.isoformat(),
        started_at=run.started_at.isoformat() if run.started_at else None,
        finished_at=run.finished_at.isoformat() if run.finished_at else None,
        heartbeat_at=run.heartbeat_at.isoformat() if run.heartbeat_at else None,
        queue_position=list(starts).index(run.id) if run.id in starts else None,
        expected_start_at=start.isoformat() if start else None,
        epochs_done=run.resume_epoch,
        wanted=run.wanted,
        continues_id=run.continues_id,
        summary=FineTuneSummary.model_validate(run.summary) if run.summary else None,
        error=run.error,
    )


def _starts(session: Session) -> dict[str, datetime | None]:
    """The queued runs in their order, and when each is expected to start; None where nothing tells."""
    queued = _queued(session)
    pace = _seconds_per_image(session)
    if pace is None:
        return dict.fromkeys((run.id for run in queued), None)
    starts_s = start_times(_remaining_s(session, pace), [pace * _image_passes(run) for run in queued])
    now = utc_now()
    return {run.id: now + timedelta(seconds=s) for run, s in zip(queued, starts_s, strict=True)}


def _queued(session: Session) -> list[Run]:
    """In their order."""
    return list(session.scalars(sa.select(Run).where(Run.status == "queued").order_by(Run.id)))


def start_times(remaining_s: Iterable[float], durations_s: Iterable[float]) -> list[float]:
    """Seconds until each queued run starts, when each takes the worker that is free first.

    Args:
        remaining_s: What each run that is worked on still needs; none is one idle worker.
        durations_s: What each queued run will need, in the order of the queue.
    """
    free_at_s = list(remaining_s) or [0.0]
    heapify(free_at_s)
    starts_s = []
    for duration_s in durations_s:
        starts_s.append(free_at_s[0])
        heapreplace(free_at_s, free_at_s[0] + duration_s)
    return starts_s


def _remaining_s(session: Session, seconds_per_image: float) -> list[float]:
    working = list(session.scalars(sa.select(Run).where(Run.status.in_(WORKING))))
    worked_s = {run.id: (utc_now() - (run.started_at or utc_now())).total_seconds() for run in working}
    return [max(0.0, seconds_per_image * _image_passes(run) - worked_s[run.id]) for run in working]


def _seconds_per_image(session: Session) -> float | None:
    """Median pace of the newest runs that succeeded, from start to end, per image and epoch."""
    query = sa.select(Run).where(Run.status == "succeeded").order_by(Run.id.desc()).limit(_RUNS_TO_LEARN_FROM)
    newest = list(session.scalars(query))
    paces = [
        (run.finished_at - run.started_at).total_seconds() / _image_passes(run)
        for run in newest
        if run.finished_at and run.started_at
    ]
    return median(paces) if paces else None


def _image_passes(run: Run) -> int:
    """How many images a run looks at, all epochs together; at least one."""
    asked = Hyperparameters.model_validate({name: run.request[name] for name in ("epochs", "train_replay")})
    return max(1, asked.epochs * (run.image_count + asked.train_replay))
