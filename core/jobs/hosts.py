"""Hosts and their workers as an operator sees them: who lives, what each works on, how much room is left."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psutil
import sqlalchemy as sa

from core.config import Settings
from core.jobs.service import FRESH_HEARTBEAT
from core.store import Store
from core.store.states import WORKING
from core.store.tables import Run, Worker, utc_now

_REMEMBERED = timedelta(days=1)


@dataclass(frozen=True)
class WorkerView:
    """A worker, alive or not heard of any more.

    Attributes:
        id: Of the worker.
        host: Name of its machine.
        pid: Of its process there.
        device: Where it has runs train, as set: `auto`, `cpu`, `0`, `0,1`.
        started_at: By its own clock, as `heartbeat_at`.
        heartbeat_at: Its last sign of life.
        is_alive: Whether that is fresh.
        run_id: What it works on.
        room: What its host had left: `memory_free_bytes`, `memory_total_bytes`, `disk_free_bytes`,
            `disk_total_bytes`; empty from a worker of an older version.
    """

    id: str
    host: str
    pid: int
    device: str
    started_at: datetime
    heartbeat_at: datetime
    is_alive: bool
    run_id: str | None
    room: dict[str, int]


def list_workers(store: Store) -> list[WorkerView]:
    """Workers that were heard of within a day, the newest sign of life first.

    One that ended in order is gone; one that is listed and silent was killed, or is cut off.
    """
    query = sa.select(Worker).where(Worker.heartbeat_at > utc_now() - _REMEMBERED)
    at_work = sa.select(Run.owner_id, Run.id).where(Run.status.in_(WORKING))
    with store.database.read() as session:
        workers = session.scalars(query.order_by(Worker.heartbeat_at.desc())).all()
        run_ids = {(owner or "").rpartition(":")[2]: run_id for owner, run_id in session.execute(at_work)}
    return [_view(worker, run_ids.get(worker.id)) for worker in workers]


def _view(worker: Worker, run_id: str | None) -> WorkerView:
    facts: dict[str, Any] = {name: getattr(worker, name) for name in ("id", "host", "pid", "device")}
    return WorkerView(
        **facts,
        started_at=worker.started_at,
        heartbeat_at=worker.heartbeat_at,
        # One from the future is of a clock that was set back.
        is_alive=abs(utc_now() - worker.heartbeat_at) <= FRESH_HEARTBEAT,
        run_id=run_id,
        room=worker.room or {},
    )


def room_of(settings: Settings) -> dict[str, int]:
    """Bytes of memory, and of the disk of `TMS_HOME`, that this host has, and has left."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(settings.home))
    return {
        "memory_free_bytes": memory.available,
        "memory_total_bytes": memory.total,
        "disk_free_bytes": disk.free,
        "disk_total_bytes": disk.total,
    }
