"""What both doors ask of the jobs: hand in feedback or a run, end or retry a run, keep a worker alive."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import sqlalchemy as sa
from filelock import FileLock, Timeout

from core import trainer
from core.config import CHECKOUT, Settings
from core.feedback import intake
from core.jobs import bell, retrain
from core.jobs.idempotency import once
from core.jobs.postman import Postman
from core.jobs.retrain import Thresholds
from core.registry import leftovers, publish
from core.schemas import FeedbackRequest, FineTuneRequest, RetrainRequest, RunView
from core.store import Store, chores, runs
from core.store.claims import Watch
from core.store.run_views import get_run
from core.store.runs import Wish
from core.store.states import WORKING
from core.store.tables import Run, Worker, utc_now

FRESH_HEARTBEAT = timedelta(seconds=60)
OWNED_BY_WORKER = "worker:"
"""What the id of a run's owner begins with if that is a worker, and not a caller of `run_finetune`."""
# A process in between, so that the worker is nobody's child: a door would have to wait for its end, and a
# terminal that is closed would take it along.
_LAUNCH = """
import subprocess, sys
print(subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=sys.stderr).pid)
"""


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
    run = once(
        store,
        idempotency_key,
        request,
        lambda session: trainer.accept(session, request, source=source, actor=actor),
    )
    see_to(store)
    return Submission(run.id, run.is_new)


def submit_retrain(
    store: Store, request: RetrainRequest, *, source: str, actor: str, idempotency_key: str | None = None
) -> Submission:
    """Queue a run on all that was approved and that no champion has learned from, and see to a worker.

    Args:
        store: Where that goes.
        request: How to learn.
        source: The door: `api` or `dashboard`.
        actor: Who asks for it.
        idempotency_key: As for `submit`.

    Raises:
        NothingApproved: If nothing waits to be learned from.
        IdempotencyConflict: If the key came with another request before.
    """
    run = once(
        store,
        idempotency_key,
        request,
        lambda session: retrain.queue(session, request, source=source, actor=actor),
    )
    see_to(store)
    return Submission(run.id, run.is_new)


def collect(
    store: Store, request: FeedbackRequest, *, source: str, actor: str, idempotency_key: str | None = None
) -> str:
    """Write batch and samples, which nothing is learned from until somebody has approved them.

    Args:
        store: Where they go; a worker fetches and checks the images.
        request: What was posted.
        source: The door: `api` or `dashboard`.
        actor: Who posted it.
        idempotency_key: The caller's name for this request; handed in again, it names the same batch.

    Returns:
        The id of the batch.

    Raises:
        IdempotencyConflict: If the key came with another request before.
    """
    batch = once(
        store,
        idempotency_key,
        request,
        lambda session: intake.record_batch(session, request, source=source, actor=actor, is_trusted=False),
    )
    see_to(store)
    return batch.id


def see_to(store: Store) -> None:
    """Have what was handed in just now taken up."""
    bell.ring(store.settings)
    ensure_worker(store)


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
    see_to(store)
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
        self._thresholds = Thresholds(store)
        self._postman = Postman(store)
        self._follower = publish.Follower(store)

    def look(self) -> None:
        """Look once; call it every few seconds."""
        put_back_orphans(self._store, self._watch)
        self._thresholds.look()
        # Before the files, which may be damaged: runs that wait are not to wait for that.
        ensure_worker(self._store)
        self._postman.look()
        self._follower.look()


def ensure_worker(store: Store) -> None:
    """Start a detached local worker if a run or a chore needs one, and none lives, here or elsewhere.

    It ends by itself when nothing is queued for a while. If two are started at once all the same, the second
    finds the lock taken and ends.
    """
    if not store.settings.worker_autostart or not _need_worker(store) or _worker_lives(store):
        return
    # Whoever holds the lock is about to start one.
    with suppress(Timeout), FileLock(store.settings.data_dir / "worker_start.lock").acquire(blocking=False):
        if not _worker_starts(store.settings):
            _start_worker(store.settings)


def worker_has_started(settings: Settings) -> None:
    """Say that the worker holds its lock, so that a successor may be started once it does no longer."""
    _starting_worker(settings).unlink(missing_ok=True)


def _need_worker(store: Store) -> bool:
    is_left = sa.and_(Run.status.in_(WORKING), Run.owner_id.startswith(OWNED_BY_WORKER))
    with store.database.read() as session:
        needy = sa.select(Run.id).where(sa.or_(Run.status == "queued", is_left)).limit(1)
        return session.scalar(needy) is not None or chores.is_any_due(session)


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


def _start_worker(settings: Settings) -> None:
    with (settings.logs_dir / "worker.log").open("ab") as log:
        launched = subprocess.run(
            [sys.executable, "-c", _LAUNCH, sys.executable, "-m", "core.jobs.worker", "--exit-when-idle"],
            cwd=CHECKOUT,
            env={**os.environ, **settings.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            check=True,
        )
    with suppress(psutil.Error):
        worker = psutil.Process(int(launched.stdout))
        _starting_worker(settings).write_text(f"{worker.pid} {worker.create_time()}")


def _worker_starts(settings: Settings) -> bool:
    """Whether the worker that was started last lives, and does not hold its lock yet.

    It takes seconds until it does, and a busy door asks for one many times a second.
    """
    with suppress(FileNotFoundError, ValueError, psutil.Error):
        pid, created_s = _starting_worker(settings).read_text().split()
        worker = psutil.Process(int(pid))
        return worker.create_time() == float(created_s) and worker.status() != psutil.STATUS_ZOMBIE
    return False


def _starting_worker(settings: Settings) -> Path:
    return settings.data_dir / "worker_starting"
