"""A small product on each kind of database, and what it takes to kill its processes."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import psutil
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from core.config import CHECKOUT, Settings
from core.jobs import service
from core.schemas import RunView
from core.store import Store, run_views, runs, states
from core.store.tables import Worker
from tests.e2e.conftest import MakeRequest, feedback, product, tiny_weights  # noqa: F401 - fixtures
from tests.object_store import s3_endpoint, s3_url  # noqa: F401 - fixtures
from tests.processes import child_of, end_processes_of, kill, processes_of, wait_until


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each module is one process' work: most of it is waiting for others to die."""
    for item in items:
        if "tests/faults" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
            item.add_marker(pytest.mark.slow)


_DOOR_LOOKS_EVERY_S = 1.0


class House:
    """A product under test: its store, its workers and their runners."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.started: list[psutil.Popen] = []

    def submit(self, request: object) -> str:
        """Hand a run in as the API does."""
        return service.submit(self.store, request, source="api", actor="ada").run_id  # type: ignore[arg-type]

    def run(self, run_id: str) -> RunView:
        """The run as it is now."""
        return run_views.get_run(self.store, run_id)

    def ended(self, run_id: str) -> RunView:
        """The run once it has ended; a door looks after it meanwhile."""
        keeper, looked_s = service.Keeper(self.store), 0.0

        def look() -> RunView | None:
            nonlocal looked_s
            if monotonic() - looked_s > _DOOR_LOOKS_EVERY_S:
                keeper.look()
                looked_s = monotonic()
            return run if (run := self.run(run_id)).status in states.ENDED else None

        return wait_until(look)  # type: ignore[return-value]

    def told(self, run_id: str, *kinds: str) -> list[dict[str, object]]:
        """Payloads of the run's events of these kinds."""
        return [event.payload for event in runs.events_after(self.store, run_id, kinds=kinds)]

    def wait_for(self, run_id: str, kind: str, count: int = 1) -> None:
        """Return when so many events of this kind were told."""
        wait_until(lambda: len(self.told(run_id, kind)) >= count)

    def worker(self) -> psutil.Process:
        """The process of the worker that lives."""
        return wait_until(self._worker)

    def _worker(self) -> psutil.Process | None:
        with self.store.database.read() as session:
            pids = [worker.pid for worker in session.query(Worker)]
        living = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        return next((process for process in living if process.status() != psutil.STATUS_ZOMBIE), None)

    def workers(self) -> list[psutil.Process]:
        """The workers of this home, those too that are only being started."""
        return processes_of(self.store.settings.home, "core.jobs.worker")

    def runner(self) -> psutil.Process:
        """The process that trains: it holds the run's log open."""
        return wait_until(self._runner)

    def _runner(self) -> psutil.Process | None:
        worker = self._worker()
        for child in worker.children() if worker else ():
            if any("run-" in file.path for file in child.open_files()):
                return child
        return None


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def house(request: pytest.FixtureRequest, product: Settings) -> Iterator[House]:  # noqa: F811
    """The product on each kind of database in turn."""
    settings = product
    if request.param == "postgres":
        settings = product.model_copy(update={"database_url": request.getfixturevalue("postgres_url")})
    with Store.open(settings) as store:
        yield House(store)


@contextmanager
def nobody_answers(httpserver: HTTPServer) -> Iterator[None]:
    """Whoever asks for an image waits until the block ends."""
    released = threading.Event()

    def hold(_request: Request) -> Response:
        released.wait()
        return Response(status=503)

    httpserver.clear()
    httpserver.expect_request(re.compile("/.*")).respond_with_handler(hold)
    try:
        yield
    finally:
        released.set()
        httpserver.clear()


@pytest.fixture
def hosts(
    product: Settings,  # noqa: F811
    postgres_url: str,
    s3_url: str,  # noqa: F811
    tmp_path: Path,
) -> Iterator[tuple[House, House]]:
    """Two GPU hosts: a home each, with one database on PostgreSQL and one blob store on S3 between them.

    Nobody starts a worker by himself.
    """
    shared = {"database_url": postgres_url, "blob_url": s3_url, "worker_autostart": False}
    homes = [tmp_path / name for name in ("alpha", "beta")]
    stores = [Store.open(product.model_copy(update={"home": home, **shared})) for home in homes]
    houses = [House(store) for store in stores]
    yield houses[0], houses[1]
    for worker in (worker for house in houses for worker in house.started):
        kill(worker)
        worker.wait()
    for store in stores:
        end_processes_of(store.settings.home)
        store.close()


def start_worker(house: House) -> psutil.Popen:
    """Start a worker of this house and wait until it has signed in."""
    before = {worker.pid for worker in service.live_workers(house.store)}
    environment = {**os.environ, **house.store.settings.environment()}
    with (house.store.settings.logs_dir / "worker.log").open("ab") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "core.jobs.worker"],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    wait_until(lambda: {worker.pid for worker in service.live_workers(house.store)} - before)
    house.started.append(process)
    return process


def runner_of(worker: psutil.Process) -> psutil.Process:
    """The runner of this worker."""
    return wait_until(lambda: child_of(worker, "core.jobs.runner"))
