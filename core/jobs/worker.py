"""The process that works the queue off: `python -m core.jobs.worker`, one a host."""

import argparse
import hashlib
import os
import platform
import signal
import threading

import sqlalchemy as sa
from dbos import DBOS
from filelock import Timeout

from core.jobs import workflow
from core.jobs.queue import QUEUE, dbos_config
from core.jobs.service import ensure_worker, worker_lock
from core.store import Store, runs
from core.store.ids import new_id
from core.store.tables import Worker, utc_now

HEARTBEAT_INTERVAL_S = 5.0
IDLE_BEFORE_EXIT_S = 120.0
_QUEUE_POLL_S = 0.5


def main() -> int:
    """Work until told to stop, or until idle when started by a door. Status 0 if another worker is here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--exit-when-idle", action="store_true", help="End when nothing was queued for a while."
    )
    asked = parser.parse_args()
    store = workflow.worker_store()
    lock = worker_lock(store.settings)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return 0
    try:
        _work(store, IDLE_BEFORE_EXIT_S if asked.exit_when_idle else float("inf"))
    finally:
        lock.release()
    if asked.exit_when_idle:
        # A run may have come in between the last look and this release, when its door saw a living worker.
        ensure_worker(store)
    return 0


def _work(store: Store, idle_limit_s: float) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker_id = _sign_in(store)
    DBOS(config=dbos_config(store.settings, _executor_id(store)))
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=_QUEUE_POLL_S)
    try:
        _beat(store, worker_id, stop, idle_limit_s)
    finally:
        DBOS.destroy()
        _sign_out(store, worker_id)


def _beat(store: Store, worker_id: str, stop: threading.Event, idle_limit_s: float) -> None:
    idle_s = 0.0
    while idle_s < idle_limit_s and not stop.wait(HEARTBEAT_INTERVAL_S):
        with store.database.write() as session:
            session.execute(sa.update(Worker).where(Worker.id == worker_id).values(heartbeat_at=utc_now()))
        idle_s = 0.0 if runs.need_worker(store) else idle_s + HEARTBEAT_INTERVAL_S


def _executor_id(store: Store) -> str:
    """The same after a restart here, another on another host or home."""
    home = hashlib.sha256(str(store.settings.home).encode()).hexdigest()[:8]
    return f"{platform.node()}-{home}"


def _sign_in(store: Store) -> str:
    worker = Worker(id=new_id("worker"), host=platform.node(), pid=os.getpid(), device=store.settings.device)
    with store.database.write() as session:
        session.add(worker)
    return worker.id


def _sign_out(store: Store, worker_id: str) -> None:
    with store.database.write() as session:
        session.execute(sa.delete(Worker).where(Worker.id == worker_id))


if __name__ == "__main__":
    raise SystemExit(main())
