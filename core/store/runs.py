"""A run's states, its progress events, and how both are read.

queued → preparing → training → evaluating → succeeded
   └─────────┴──────────┴───────────┴──→ failed | cancelled
             └──────────┴───────────┴──→ interrupted → queued
"""

from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFound, TmsError
from core.schemas import FineTuneRequest, FineTuneSummary, RunStatus, RunView
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Batch, Run, RunEvent, utc_now


def _states(*states: RunStatus) -> frozenset[RunStatus]:
    return frozenset(states)


ENDED = _states("succeeded", "failed", "cancelled")
_WORKING = _states("preparing", "training", "evaluating")
_ABORTS = _states("failed", "cancelled", "interrupted")
NEXT: dict[RunStatus, frozenset[RunStatus]] = {
    # Straight to training or evaluating when a run is taken up again behind stages that were finished.
    "queued": _WORKING | _states("failed", "cancelled"),
    "preparing": _ABORTS | _states("training"),
    "training": _ABORTS | _states("evaluating"),
    "evaluating": _ABORTS | _states("succeeded"),
    "interrupted": _states("queued", "failed", "cancelled"),
    "succeeded": _states(),
    "failed": _states(),
    "cancelled": _states(),
}


PYTHON = "python"
"""Source of the batches that `run_finetune` works on in its own process, without a worker."""


class IllegalTransition(TmsError):
    """A run was told to go where its state does not lead."""

    code, status, title = "illegal_transition", 409, "The run cannot do this in its state"


def create_run(session: Session, batch_id: str, request: FineTuneRequest) -> Run:
    """Add a queued run for a batch; its images are in the batch, the rest of the request is kept with it."""
    asked = request.model_dump(mode="json", exclude={"images"})
    run = Run(id=new_id("run"), batch_id=batch_id, status="queued", request=asked)
    session.add(run)
    session.flush()
    return run


def enter(store: Store, run_id: str, status: RunStatus, **changes: Any) -> None:
    """Move a run to a state, set further columns, and tell it as an event.

    Entering the state it is already in only sets the columns, so that a stage may be repeated.

    Raises:
        NotFound: If there is no such run.
        IllegalTransition: If its state does not lead there.
    """
    with store.database.write() as session:
        run = _locked(session, run_id)
        if status != run.status:
            _move(session, run, status)
        for column, value in changes.items():
            setattr(run, column, value)


def resume_interrupted(store: Store, run_id: str) -> None:
    """Put a run whose worker died back to `queued`; one that never started is left alone."""
    if get_row(store, run_id).status in _WORKING:
        enter(store, run_id, "interrupted")
        enter(store, run_id, "queued")


def fail(store: Store, run_id: str, error: dict[str, Any]) -> None:
    """End a run as failed, unless it has ended already."""
    with store.database.write() as session:
        run = _locked(session, run_id)
        if run.status in ENDED:
            return
        run.error = error
        _move(session, run, "failed")


def _locked(session: Session, run_id: str) -> Run:
    run = session.get(Run, run_id, with_for_update=True)
    if run is None:
        raise _unknown(run_id)
    return run


def _unknown(run_id: str) -> NotFound:
    return NotFound(f"There is no run {run_id}. GET /api/runs lists all of them.")


def _move(session: Session, run: Run, status: RunStatus) -> None:
    if status not in NEXT[run.status]:  # type: ignore[index]
        raise IllegalTransition(f"Run {run.id} is {run.status}; it cannot become {status}.")
    run.status = status
    now = utc_now()
    run.started_at = run.started_at or (now if status == "preparing" else None)
    run.finished_at = now if status in ENDED else None
    _append(session, run.id, "status", {"status": status})


def add_event(store: Store, run_id: str, kind: str, payload: dict[str, Any]) -> None:
    """Append a progress event to a run.

    Args:
        store: Where the run is kept.
        run_id: The run.
        kind: `status`, `phase`, `batch`, `epoch` or `log`.
        payload: JSON object; what it holds is told in docs/api.md.
    """
    with store.database.write() as session:
        # The lock on the run makes writers at once number their events one after the other.
        _append(session, _locked(session, run_id).id, kind, payload)


def _append(session: Session, run_id: str, kind: str, payload: dict[str, Any]) -> None:
    newest = sa.select(sa.func.max(RunEvent.seq)).where(RunEvent.run_id == run_id)
    seq = (session.scalar(newest) or 0) + 1
    session.add(RunEvent(run_id=run_id, seq=seq, kind=kind, payload=payload))


def events_after(store: Store, run_id: str, seq: int = 0, kinds: tuple[str, ...] = ()) -> list[RunEvent]:
    """A run's events numbered above `seq`, oldest first, of the given kinds or of all."""
    query = sa.select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.seq > seq).order_by(RunEvent.seq)
    if kinds:
        query = query.where(RunEvent.kind.in_(kinds))
    with store.database.read() as session:
        return list(session.scalars(query))


def get_row(store: Store, run_id: str) -> Run:
    """One run as it is kept.

    Raises:
        NotFound: If there is no such run.
    """
    with store.database.read() as session:
        run = session.get(Run, run_id)
    if run is None:
        raise _unknown(run_id)
    return run


def get_run(store: Store, run_id: str) -> RunView:
    """One run as it is shown.

    Raises:
        NotFound: If there is no such run.
    """
    with store.database.read() as session:
        row = session.execute(_runs_with_batch().where(Run.id == run_id)).one_or_none()
        if row is None:
            raise _unknown(run_id)
        return _view(row[0], row[1], _queue_of(session))


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
    query = _runs_with_batch().order_by(Run.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Run.id < before)
    if status is not None:
        query = query.where(Run.status == status)
    with store.database.read() as session:
        queue = _queue_of(session)
        return [_view(run, batch, queue) for run, batch in session.execute(query)]


def count_by_status(store: Store) -> dict[RunStatus, int]:
    """How many runs are in each state, states without a run included."""
    query = sa.select(Run.status, sa.func.count()).group_by(Run.status)
    with store.database.read() as session:
        found: dict[str, int] = dict(session.execute(query).all())
    return {status: found.get(status, 0) for status in get_args(RunStatus)}


def need_worker(store: Store) -> bool:
    """Whether a run that was handed in has not ended; `run_finetune` works on its own by itself."""
    query = _runs_with_batch().where(Run.status.not_in(ENDED), Batch.source != PYTHON).limit(1)
    with store.database.read() as session:
        return session.execute(query).first() is not None


def _runs_with_batch() -> sa.Select[Run, Batch]:
    return sa.select(Run, Batch).join(Batch, Batch.id == Run.batch_id)


def _queue_of(session: Session) -> list[str]:
    return list(session.scalars(sa.select(Run.id).where(Run.status == "queued").order_by(Run.id)))


def _view(run: Run, batch: Batch, queue: list[str]) -> RunView:
    return RunView(
        id=run.id,
        status=run.status,
        source=batch.source,
        actor=batch.actor,
        note=batch.note,
        created_at=run.created_at.isoformat(),
        started_at=run.started_at.isoformat() if run.started_at else None,
        finished_at=run.finished_at.isoformat() if run.finished_at else None,
        queue_position=queue.index(run.id) if run.id in queue else None,
        summary=FineTuneSummary.model_validate(run.summary) if run.summary else None,
        error=run.error,
    )
