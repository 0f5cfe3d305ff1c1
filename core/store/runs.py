"""What happens to a run: it is made, moves from state to state, tells its progress, is told to end."""

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFound, RunEnded, RunNotRetryable, TmsError
from core.schemas import FineTuneRequest, RetrainRequest, RunStatus
from core.store import Store, outbox
from core.store.ids import new_id
from core.store.states import ENDED, NEXT
from core.store.tables import Batch, LedgerEntry, Run, RunEvent, utc_now

Wish = Literal["stop", "cancel"]
_HANDED_IN = ("batch_id", "learns_from", "source", "actor", "note", "image_count", "request")
"""What a retry is handed in with too."""


class IllegalTransition(TmsError):
    """A run was told to go where its state does not lead."""

    code, status, title = "illegal_transition", 409, "The run cannot do this in its state"


def create_run(session: Session, batch: Batch, request: FineTuneRequest) -> Run:
    """Add a queued run for a batch; its images are in the batch, the rest of the request is kept with it."""
    run = Run(
        id=new_id("run"),
        batch_id=batch.id,
        source=batch.source,
        actor=batch.actor,
        note=batch.note,
        image_count=len(request.images),
        request=request.model_dump(mode="json", exclude={"images"}),
    )
    session.add(run)
    session.flush()
    return run


def create_retrain(
    session: Session, batch_id: str, request: RetrainRequest, *, source: str, actor: str, image_count: int
) -> Run:
    """Add a queued run on everything that was approved; what that is, it decides when it prepares.

    Args:
        session: Of the caller's transaction.
        batch_id: The newest batch of what waits now.
        request: How to learn.
        source: Who asked for it: a door, or `threshold`.
        actor: In whose name.
        image_count: How many samples wait now.
    """
    run = Run(
        id=new_id("run"),
        batch_id=batch_id,
        learns_from="approved",
        source=source,
        actor=actor,
        note=request.note,
        image_count=image_count,
        request=request.model_dump(mode="json"),
    )
    session.add(run)
    session.flush()
    return run


def create_retry(session: Session, ended: Run, actor: str, *, goes_on: bool) -> Run:
    """Add a queued run that does again what an ended one was to do, or give the one that does so already.

    Args:
        session: Whose transaction has locked the ended run.
        ended: Failed or cancelled.
        actor: Who retries it.
        goes_on: Whether it may begin behind the last epoch that was kept, with the events up to there.

    Raises:
        RunNotRetryable: If the run goes on, or succeeded.
    """
    if ended.status not in ("failed", "cancelled"):
        detail = f"Run {ended.id} is {ended.status}; a failed or cancelled one can be retried."
        raise RunNotRetryable(detail, run_id=ended.id)
    unfinished = sa.select(Run).where(Run.continues_id == ended.id, Run.status.not_in(ENDED))
    if (again := session.scalar(unfinished)) is not None:
        return again
    kept = {name: getattr(ended, name) for name in _HANDED_IN}
    run = Run(id=new_id("run"), continues_id=ended.id, **kept)
    session.add(run)
    session.flush()
    if goes_on:
        _take_over_progress(session, ended, run)
    append_event(session, run, "retry", {"of": ended.id, "by": actor, "epochs_done": run.resume_epoch})
    return run


def _take_over_progress(session: Session, ended: Run, run: Run) -> None:
    run.parent_id, run.dataset_digest = ended.parent_id, ended.dataset_digest
    run.resume_sha256, run.resume_epoch = ended.resume_sha256, ended.resume_epoch
    # Whatever is kept has one owner, who deletes it in the end.
    ended.resume_sha256 = None
    told = RunEvent.kind.in_(("batch", "epoch"))
    query = sa.select(RunEvent).where(RunEvent.run_id == ended.id, told).order_by(RunEvent.seq)
    for event in session.scalars(query):
        if event.payload["epoch"] <= run.resume_epoch:
            append_event(session, run, event.kind, event.payload)


def enter(store: Store, run_id: str, status: RunStatus, **changes: Any) -> None:
    """Move a run to a state, set further columns, and tell it as an event.

    Entering the state it is already in only sets the columns, so that a stage may be repeated.

    Raises:
        NotFound: If there is no such run.
        IllegalTransition: If its state does not lead there.
    """
    with store.database.write() as session:
        run = locked(session, run_id)
        if status != run.status:
            move(session, run, status)
        for column, value in changes.items():
            setattr(run, column, value)
        if changes:
            got_on(run)


def fail(store: Store, run_id: str, error: dict[str, Any]) -> None:
    """End a run as failed, unless it has ended already."""
    with store.database.write() as session:
        run = locked(session, run_id)
        if run.status not in ENDED:
            run.error = error
            move(session, run, "failed")


def got_on(run: Run) -> None:
    """Note that the run has something to show that outlives its owner."""
    run.setbacks = 0


def keep_state(session: Session, run: Run, resume_sha256: str, epoch: int) -> str | None:
    """Note the state after an epoch, in the caller's transaction, which tells of the epoch too.

    Both or neither, so that no epoch is counted twice.

    Returns:
        The sha256 of the state that was kept before, which nothing needs now; none at first.
    """
    before, run.resume_sha256, run.resume_epoch = run.resume_sha256, resume_sha256, epoch
    got_on(run)
    return before if before != resume_sha256 else None


def ask_to_end(store: Store, run_id: str, wish: Wish, actor: str) -> None:
    """Note that a run is to stop and keep its best, or to be cancelled; a queued one ends at once.

    Asking again changes nothing, and a cancellation outweighs a stop. A run that has learned nothing when it
    is stopped has nothing to keep: it is cancelled.

    Raises:
        NotFound: If there is no such run.
        RunEnded: If it has ended otherwise.
    """
    with store.database.write() as session:
        run = locked(session, run_id)
        if run.status in ENDED:
            _refuse_unless_done(run, wish)
            return
        if run.wanted in (wish, "cancel"):
            return
        _refuse_if_published(session, run)
        has_learned = run.resume_epoch > 0 or run.status in ("training", "evaluating")
        run.wanted, run.wanted_by = wish if has_learned else "cancel", actor
        append_event(session, run, "wanted", {"wanted": run.wanted, "asked": wish, "by": actor})
        if run.status == "queued" and run.wanted == "cancel":
            move(session, run, "cancelled")


def _refuse_unless_done(run: Run, wish: Wish) -> None:
    is_done = run.status == "cancelled" or (wish == "stop" and run.wanted == "stop")
    if not is_done:
        raise RunEnded(f"Run {run.id} has {run.status} already: nothing is left to {wish}.", run_id=run.id)


def _refuse_if_published(session: Session, run: Run) -> None:
    promotion = sa.select(LedgerEntry.id).where(LedgerEntry.run_id == run.id)
    if session.scalar(promotion.limit(1)) is not None:
        raise RunEnded(f"The candidate of run {run.id} is live already. Roll back instead.", run_id=run.id)


def locked(session: Session, run_id: str) -> Run:
    """The run's row, which nobody else can write until the transaction ends.

    Raises:
        NotFound: If there is no such run.
    """
    run = session.get(Run, run_id, with_for_update=True, populate_existing=True)
    if run is None:
        raise unknown(run_id)
    return run


def unknown(run_id: str) -> NotFound:
    """The error for an id that no run has."""
    return NotFound(f"There is no run {run_id}. GET /api/runs lists all of them.")


def move(session: Session, run: Run, status: RunStatus) -> None:
    """Take one step from state to state, in the caller's transaction.

    Raises:
        IllegalTransition: If the run's state does not lead there.
    """
    if status not in NEXT[run.status]:  # type: ignore[index]
        raise IllegalTransition(f"Run {run.id} is {run.status}; it cannot become {status}.")
    run.status = status
    now = utc_now()
    run.started_at = run.started_at or (now if status == "preparing" else None)
    if status in ENDED:
        run.finished_at, run.owner_id = now, None
        outbox.tell(session, "run_ended", run.id, _news(run))
    append_event(session, run, "status", {"status": status})


def _news(run: Run) -> dict[str, Any]:
    code = run.error["code"] if run.error else None
    return {"run_id": run.id, "status": run.status, "checkpoint_id": run.checkpoint_id, "error": code}


def add_event(store: Store, run_id: str, kind: str, payload: dict[str, Any]) -> None:
    """Append a progress event to a run.

    Args:
        store: Where the run is kept.
        run_id: The run.
        kind: One of those that docs/api.md lists.
        payload: JSON object; what it holds is told there too.
    """
    with store.database.write() as session:
        append_event(session, locked(session, run_id), kind, payload)


def append_event(session: Session, run: Run, kind: str, payload: dict[str, Any]) -> None:
    """Append an event in the caller's transaction, which has locked the run, as events are numbered."""
    newest = sa.select(sa.func.max(RunEvent.seq)).where(RunEvent.run_id == run.id)
    seq = (session.scalar(newest) or 0) + 1
    session.add(RunEvent(run_id=run.id, seq=seq, kind=kind, payload=payload, fence=run.fence))
    session.flush()


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
        raise unknown(run_id)
    return run
