"""The process that works the queue off: `python -m core.jobs.worker`, one a host and home."""

import argparse
import hashlib
import logging
import os
import platform
import signal
import subprocess
import threading
import time
from contextlib import suppress

import sqlalchemy as sa
from filelock import Timeout

from core.errors import ClaimLost, RunCancelled, TmsError
from core.jobs import bell, crew
from core.jobs.bell import Sleeper
from core.jobs.caretaker import Caretaker
from core.jobs.crew import Crew
from core.jobs.hosts import room_of
from core.jobs.postman import Postman
from core.jobs.retrain import Thresholds
from core.jobs.service import (
    OWNED_BY_WORKER,
    discard_if_cancelled,
    ensure_worker,
    put_back_orphans,
    worker_has_started,
    worker_lock,
)
from core.registry import leftovers, publish
from core.store import Store, claims, runs
from core.store.claims import Claim
from core.store.database import AWAY, patiently
from core.store.ids import new_id
from core.store.states import ENDED
from core.store.tables import Worker, utc_now
from core.training import failures

IDLE_BEFORE_EXIT_S = 120.0
# Doors hold the lock for a moment to see whether a worker lives.
_LOCK_WAIT_S = 2.0
_QUEUE_POLL_S = 1.0
_RUNNER_POLL_S = 0.5
# A runner sees by itself that its run is cancelled; one that hangs is ended from here.
_LOOKS_BEFORE_KILL = 4

log = logging.getLogger(__name__)


def main() -> int:
    """Work until told to stop, or until idle when started by a door. Status 0 if another worker is here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--exit-when-idle", action="store_true", help="End when nothing was queued for a while."
    )
    asked = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    with Store.open() as store:
        lock = worker_lock(store.settings)
        try:
            lock.acquire(timeout=_LOCK_WAIT_S)
        except Timeout:
            return 0
        worker_has_started(store.settings)
        try:
            told_to_end = _work(store, IDLE_BEFORE_EXIT_S if asked.exit_when_idle else float("inf"))
        finally:
            lock.release()
        if not told_to_end:
            # A run may have come in since the last look, when its door saw a living worker.
            ensure_worker(store)
    return 0


def _work(store: Store, idle_limit_s: float) -> bool:
    """Whether it was told to end; else it was idle for so long."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _wake_to_end(stop, store))
    place = _place(store)
    # This process holds the worker's lock: whoever worked here before is dead.
    for run_id in claims.put_back_runs_of(store, place):
        discard_if_cancelled(store, run_id)
    with Pulse(store, place) as pulse:
        runners, caretaker = Crew(store.settings), Caretaker(store)
        try:
            _work_queue_off(store, pulse, runners, caretaker, stop, idle_limit_s)
        finally:
            caretaker.make_way()
            runners.dismiss_spare()
            caretaker.end()
    return stop.is_set()


def _wake_to_end(stop: threading.Event, store: Store) -> None:
    stop.set()
    with suppress(OSError):
        bell.ring(store.settings)


def _place(store: Store) -> str:
    """What the ids of all workers of this host and home begin with."""
    home = hashlib.sha256(str(store.settings.home).encode()).hexdigest()[:8]
    return f"{OWNED_BY_WORKER}{platform.node()}-{home}:"


def _work_queue_off(
    store: Store,
    pulse: "Pulse",
    runners: Crew,
    caretaker: Caretaker,
    stop: threading.Event,
    idle_limit_s: float,
) -> None:
    worked_s = time.monotonic()
    with Sleeper(store.settings) as sleeper:
        while not stop.is_set() and time.monotonic() - worked_s < idle_limit_s:
            claim = _take_next(store, pulse.owner_id)
            if claim is not None:
                pulse.claim = claim
                _have_it_done(store, claim, runners, caretaker, stop)
                pulse.claim, worked_s = None, time.monotonic()
            else:
                runners.keep_spare()
                if caretaker.look():
                    worked_s = time.monotonic()
                sleeper.sleep(_QUEUE_POLL_S)


def _take_next(store: Store, owner_id: str) -> Claim | None:
    try:
        return claims.take_next(store, owner_id)
    except AWAY:
        return None


def _have_it_done(
    store: Store, claim: Claim, runners: Crew, caretaker: Caretaker, stop: threading.Event
) -> None:
    """Have a runner take the run to its end, and see to what it leaves behind."""
    log.info("run %s under fence %d", claim.run_id, claim.fence)
    caretaker.make_way()
    runner = runners.hand_over(claim)
    caretaker.end()
    _wait_for(store, claim, runner, caretaker, stop)
    crew.end(runner)
    if stop.is_set():
        patiently(lambda: claims.hand_back(store, claim))
    else:
        patiently(lambda: _conclude(store, claim, runner.returncode))
    # Whoever cancels it while it is handed back finds nobody who works on it.
    patiently(lambda: discard_if_cancelled(store, claim.run_id))


def _wait_for(
    store: Store,
    claim: Claim,
    runner: "subprocess.Popen[bytes]",
    caretaker: Caretaker,
    stop: threading.Event,
) -> None:
    """Return when the runner has ended, or has to; meanwhile batches are taken in that no run brings."""
    cancelled_looks = 0
    while runner.poll() is None and not stop.is_set() and cancelled_looks < _LOOKS_BEFORE_KILL:
        with suppress(subprocess.TimeoutExpired):
            runner.wait(_RUNNER_POLL_S)
        caretaker.look(beside_run=True)
        with suppress(*AWAY):
            run = runs.get_row(store, claim.run_id)
            if run.fence != claim.fence:
                return
            cancelled_looks += run.wanted == "cancel"


def _conclude(store: Store, claim: Claim, exit_status: int) -> None:
    run = runs.get_row(store, claim.run_id)
    if run.status in ENDED or run.fence != claim.fence:
        return
    if run.wanted == "cancel":
        leftovers.cancel(store, claim)
        return
    died = failures.runner_died(exit_status, store.settings.log_path(run.id))
    log.warning("run %s: %s", run.id, died.detail)
    claims.hand_back(store, claim, lost=died)


class Pulse:
    """Signs of life of a worker and its run, and a look at the others and at thresholds, in a thread."""

    def __init__(self, store: Store, place: str) -> None:
        """Take the store, and what the worker's id begins with."""
        self._store = store
        self._worker = Worker(
            id=new_id("worker"),
            host=platform.node(),
            pid=os.getpid(),
            device=store.settings.device,
            room=room_of(store.settings),
        )
        self.owner_id = f"{place}{self._worker.id}"
        self.claim: Claim | None = None
        self._watch = claims.Watch(store)
        self._thresholds = Thresholds(store)
        self._postman = Postman(store)
        self._follower = publish.Follower(store)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="pulse", daemon=True)

    def __enter__(self) -> "Pulse":
        with self._store.database.write() as session:
            session.add(self._worker)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        with suppress(*AWAY), self._store.database.write() as session:
            session.execute(sa.delete(Worker).where(Worker.id == self._worker.id))

    def _go_on(self) -> None:
        while not self._closing.wait(claims.BEAT_INTERVAL_S):
            try:
                self._beat()
                put_back_orphans(self._store, self._watch)
                self._thresholds.look()
                self._postman.look()
                self._follower.look()
            except AWAY as error:
                log.warning("the database does not answer: %s", type(error).__name__)
            except TmsError as error:
                log.warning("%s", error.detail)

    def _beat(self) -> None:
        claim = self.claim
        with self._store.database.write() as session:
            beat = {"heartbeat_at": utc_now(), "room": room_of(self._store.settings)}
            session.merge(Worker(id=self._worker.id, **beat, **_facts(self._worker)))
            if claim is not None:
                with suppress(ClaimLost, RunCancelled):
                    claims.beat(session, claim)


def _facts(worker: Worker) -> dict[str, object]:
    """What stays the same, in case that somebody has cleared the row away."""
    return {name: getattr(worker, name) for name in ("host", "pid", "device", "started_at")}


if __name__ == "__main__":
    raise SystemExit(main())
