"""What both doors ask of the jobs: hand in a run, end or retry it, keep a worker alive."""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import trainer
from core.config import CHECKOUT, Settings
from core.errors import IdempotencyConflict
from core.jobs import bell
from core.jobs.postman import Postman
from core.registry import leftovers, publish
from core.schemas import FineTuneRequest, RunView
from core.store import Store, runs
from core.store.claims import Watch
from core.store.ids import canonical_digest
from core.store.run_views import get_run
from core.store.runs import Wish
from core.store.states import WORKING
from core.store.tables import IdempotencyKey, Run, Worker, utc_now

FRESH_HEARTBEAT = timedelta(seconds=60)
OWNED_BY_WORKER = "worker:"
"""What the id of a run's owner begins with if that is a worker, and not a caller of `run_finetune`."""
# A process in between, so that the worker is nobody's child: a door would have to wait for its end, and a
# terminal that is closed would take it along.
_LAUNCH = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"


@dataclass(frozen=True)
class Submission:
    """A run that was handed in, or the one that an idempotency key already stood for."""

    run_id: str
    is_new: bool


def submit(
    store: Store, request: FineTuneRequest, *, source: str, actor: str, idempotency_key: str | None = None
) -> Submission:
    """Write batch, samples, queued run and idempotency key in one transaction, and see to a worker.

    Args:
        store: Where all that goes.
        request: What was posted.
        source: The door: `api` or `dashboard`.
        actor: Who posted it.
        idempotency_key: The caller's name for this request; handed in again, it names the same run.

    Raises:
        IdempotencyConflict: If the key came with another body before.
    """
    body_digest = canonical_digest(request.model_dump(mode="json"))
    try:
        with store.database.write() as session:
            known = _known_run(session, idempotency_key, body_digest)
            submission = known or _new_run(store, session, request, source, actor)
            if idempotency_key is not None and known is None:
                key = IdempotencyKey(key=idempotency_key, body_digest=body_digest, run_id=submission.run_id)
                session.add(key)
    except IntegrityError:
        # Another process wrote the same key between our look and our commit.
        with store.database.read() as session:
            known = _known_run(session, idempotency_key, body_digest)
        if known is None:
            raise
        submission = known
    _see_to(store)
    return submission


def _see_to(store: Store) -> None:
    """Have what was queued just now taken up."""
    bell.ring(store.settings)
    ensure_worker(store)


def _known_run(session: Session, key: str | None, body_digest: str) -> Submission | None:
    row = session.get(IdempotencyKey, key) if key is not None else None
    if row is None:
        return None
    if row.body_digest != body_digest:
        raise IdempotencyConflict(
            f"The key {key!r} stands for run {row.run_id}, which had another body. "
            "Use a new key for a new request, or send the same body again."
        )
    return Submission(row.run_id, is_new=False)


def _new_run(store: Store, session: Session, request: FineTuneRequest, source: str, actor: str) -> Submission:
    run = trainer.accept(session, request, source=source, actor=actor)
    return Submission(run.id, is_new=True)


def ask_to_end(store: Store, run_id: str, wish: Wish, actor: str) -> RunView:
    """Stop a run and keep its best, or cancel it and discard what it made; asking again changes nothing.

    A run that is being worked on ends within moments: look at it again.

    Raises:
        NotFound: If there is no such run.
        RunEnded: If it has ended otherwise.
    """
    runs.ask_to_end(store, run_id, wish, actor)
    discard_if_cancelled(store, run_id)
    return get_run(store, run_id)


def retry(store: Store, run_id: str, actor: str, *, from_start: bool = False) -> RunView:
    """Queue a failed or cancelled run once more, as a new run on the same batch.

    It goes on behind the last epoch that was kept, if there is one and the champion is still the one that it
    learned from; then its events begin with those of the run before.

    Args:
        store: Where the run is.
        run_id: The run that ended.
        actor: Who retries it.
        from_start: Learn everything anew.

    Raises:
        NotFound: If there is no such run.
        RunNotRetryable: If it goes on, or succeeded.
    """
    can_go_on = not from_start and epochs_to_keep(store, run_id) > 0
    with store.database.write() as session:
        ended = runs.locked(session, run_id)
        new_id = runs.create_retry(session, ended, actor, goes_on=can_go_on).id
    _see_to(store)
    return get_run(store, new_id)


def live_workers(store: Store) -> list[Worker]:
    """Workers with a fresh heartbeat, newest first; one from the future is of a clock that was set back."""
    now = utc_now()
    query = (
        sa.select(Worker)
        .where(Worker.heartbeat_at.between(now - FRESH_HEARTBEAT, now + FRESH_HEARTBEAT))
        .order_by(Worker.started_at.desc())
    )
    with store.database.read() as session:
        return list(session.scalars(query))


def worker_lock(settings: Settings) -> FileLock:
    """The lock that a worker holds while it lives: one worker a host and home."""
    return FileLock(settings.data_dir / "worker.lock")


def epochs_to_keep(store: Store, run_id: str) -> int:
    """Epochs that a retry of this run would not repeat; none if none is kept, or its parent is not live now.

    Raises:
        NotFound: If there is no such run.
    """
    run, live = runs.get_row(store, run_id), publish.champion(store)
    goes_on = run.status == "failed" and run.resume_sha256 and live and live.id == run.parent_id
    return run.resume_epoch if goes_on else 0


def put_back_orphans(store: Store, watch: Watch) -> None:
    """Queue again what dead owners worked on."""
    for run_id in watch.look():
        discard_if_cancelled(store, run_id)


def discard_if_cancelled(store: Store, run_id: str) -> None:
    """Remove what a run made that was cancelled while nobody worked on it."""
    if runs.get_row(store, run_id).status == "cancelled":
        leftovers.discard(store, run_id)


class Keeper:
    """Sees to it, while a door is open, that runs have a worker and none has a dead one."""

    def __init__(self, store: Store) -> None:
        """Take the store to look after."""
        self._store = store
        self._watch = Watch(store)
        self._postman = Postman(store)
        self._follower = publish.Follower(store)

    def look(self) -> None:
        """Look once; call it every few seconds."""
        put_back_orphans(self._store, self._watch)
        # Before the files, which may be damaged: runs that wait are not to wait for that.
        ensure_worker(self._store)
        self._postman.look()
        self._follower.look()


def ensure_worker(store: Store) -> None:
    """Start a detached local worker if a run needs one, and none lives here or on another host.

    It ends by itself when nothing is queued for a while. If two doors start one at once, the second
    worker finds the lock taken and ends.
    """
    if not store.settings.worker_autostart or not _need_worker(store) or _worker_lives(store):
        return
    with (store.settings.logs_dir / "worker.log").open("ab") as log:
        subprocess.run(
            [sys.executable, "-c", _LAUNCH, sys.executable, "-m", "core.jobs.worker", "--exit-when-idle"],
            cwd=CHECKOUT,
            env={**os.environ, **store.settings.environment()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )


def _need_worker(store: Store) -> bool:
    is_left = sa.and_(Run.status.in_(WORKING), Run.owner_id.startswith(OWNED_BY_WORKER))
    with store.database.read() as session:
        needy = sa.select(Run.id).where(sa.or_(Run.status == "queued", is_left)).limit(1)
        return session.scalar(needy) is not None


def _worker_lives(store: Store) -> bool:
    if any(worker.host != platform.node() for worker in live_workers(store)):
        return True
    lock = worker_lock(store.settings)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False
