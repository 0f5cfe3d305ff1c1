"""What an operator sees of hosts and workers."""

import os
import platform
from datetime import timedelta

from core.jobs import service
from core.jobs.hosts import list_workers, room_of
from core.jobs.worker import Pulse
from core.store import Store, claims
from core.store.tables import Worker, utc_now
from tests.factories import image, request


def _add(store: Store, worker_id: str, silent_for: timedelta) -> None:
    heard = utc_now() - silent_for
    worker = Worker(id=worker_id, host="gpu-1", pid=7, device="0", started_at=heard, heartbeat_at=heard)
    with store.database.write() as session:
        session.add(worker)


def test_workers_are_told_with_what_each_works_on(any_store: Store) -> None:
    _add(any_store, "worker-idle", timedelta(seconds=3))
    _add(any_store, "worker-busy", timedelta(seconds=1))
    service.submit(any_store, request(image("http://x/1.png")), source="api", actor="ada")
    claim = claims.take_next(any_store, "worker:gpu-1-home:worker-busy")
    assert claim is not None
    found = [(one.id, one.is_alive, one.run_id) for one in list_workers(any_store)]
    assert found == [("worker-busy", True, claim.run_id), ("worker-idle", True, None)]


def test_a_silent_worker_is_told_for_a_day(any_store: Store) -> None:
    _add(any_store, "worker-lost", timedelta(minutes=5))
    _add(any_store, "worker-forgotten", timedelta(days=2))
    assert [(one.id, one.is_alive) for one in list_workers(any_store)] == [("worker-lost", False)]


def test_a_worker_tells_how_much_room_its_host_has(store: Store) -> None:
    with Pulse(store, "worker:here:") as pulse:
        pulse._beat()
        (found,) = list_workers(store)
    assert (found.host, found.pid) == (platform.node(), os.getpid())
    assert set(found.room) == set(room_of(store.settings))
    assert 0 < found.room["disk_free_bytes"] < found.room["disk_total_bytes"]
    assert 0 < found.room["memory_free_bytes"] < found.room["memory_total_bytes"]
    assert list_workers(store) == []
