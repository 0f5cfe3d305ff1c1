"""The product as users run it, in a folder of its own, for benchmarks to push and to measure."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import requests

from core.config import CHECKOUT, Settings
from core.jobs import service
from core.store import Store, chores, run_views, states
from tests.factories import CLASS_NAMES, detection, image, thermal_file, write_base_set
from tests.processes import child_of, clean_environment, end_processes_of, free_port, wait_until
from tests.weights import write_weights


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def image_server(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class Product:
    """API and worker of one home, started and ended at will."""

    def __init__(self, home: Path, image_address: str, **settings: Any) -> None:
        self.port = free_port()
        self.settings = Settings(
            _env_file=None,
            home=home,
            pretrained_weights=home / "baseline.pt",
            annotated_dataset_root=home / "base_set",
            image_hosts=image_address.removeprefix("http://"),
            api_port=self.port,
            device="cpu",
            **settings,
        ).create_folders()
        self._image_address = image_address
        self._started: list[subprocess.Popen[bytes]] = []

    def make(self, *, width: float, images: dict[str, int], size_px: int, feedback: int) -> None:
        """Write untrained YOLOv8 weights of this width multiple, a base set, and feedback images."""
        write_weights(self.settings.pretrained_weights, self.settings, width=width)
        write_base_set(self.settings.annotated_dataset_root, images=images, size_px=size_px)
        folder = self.settings.home / "feedback"
        folder.mkdir()
        for number in range(feedback):
            content = thermal_file(7_000 + number, size_px, size_px, "JPEG", quality=95)
            (folder / f"{number}.jpg").write_bytes(content)

    def payload(self, numbers: range, size_px: int, **asked: Any) -> dict[str, Any]:
        """Body of a fine-tune on these feedback images."""
        box = (0.2 * size_px, 0.2 * size_px, 0.6 * size_px, 0.6 * size_px)
        images = [
            image(f"{self._image_address}/{number}.jpg", detection(box, number % len(CLASS_NAMES)))
            for number in numbers
        ]
        return {"images": images, **asked}

    def start(self, module: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start one of the product's processes, with further settings as environment variables."""
        with (self.settings.logs_dir / f"{module}.out").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=CHECKOUT,
                env={**clean_environment(), **self.settings.environment(), **settings},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._started.append(process)
        return process

    def start_api(self) -> subprocess.Popen[bytes]:
        """Start the API and wait until it answers."""
        api = self.start("api.app")
        wait_until(self.api_answers)
        return api

    @contextmanager
    def worker(self, *, warm: bool) -> Iterator[None]:
        """A worker, with or without a warm spare; ready when the block begins, ended when it ends."""
        log = self.settings.logs_dir / "worker.log"
        log.unlink(missing_ok=True)
        worker = self.start("core.jobs.worker", TMS_WARM_RUNNER=str(int(warm)))
        with Store.open(self.settings) as store:
            wait_until(lambda: any(signed_in.pid == worker.pid for signed_in in service.live_workers(store)))
        wait_until(lambda: not warm or (log.exists() and "spare runner is ready" in log.read_text()))
        wait_until(lambda: self._has_no_chores(worker.pid), timeout_s=300)
        try:
            yield
        finally:
            worker.terminate()
            worker.wait()

    def _has_no_chores(self, worker_pid: int) -> bool:
        with Store.open(self.settings) as store, store.database.read() as session:
            is_due = chores.is_any_due(session)
        return not is_due and child_of(psutil.Process(worker_pid), "core.jobs.chores") is None

    def wait_for_end(self, run_id: str) -> dict[str, Any]:
        """The run once it has ended."""
        with Store.open(self.settings) as store:
            wait_until(lambda: run_views.get_run(store, run_id).status in states.ENDED)
            return run_views.get_run(store, run_id).model_dump()

    def cancel(self, run_id: str) -> None:
        """Cancel a run and wait until it has ended."""
        with Store.open(self.settings) as store:
            service.ask_to_end(store, run_id, "cancel", "bench")
        self.wait_for_end(run_id)

    def api_answers(self) -> bool:
        """Whether the API is there."""
        try:
            return requests.get(self.url("/health/live"), timeout=5).ok
        except requests.RequestException:
            return False

    def url(self, path: str) -> str:
        """Address of a route."""
        return f"http://127.0.0.1:{self.port}{path}"

    def post(self, payload: dict[str, Any], **headers: str) -> str:
        """Hand a batch in without waiting for its end; gives the run's id."""
        headers = {"Prefer": "respond-async", **headers}
        answer = requests.post(self.url("/api/finetune"), json=payload, headers=headers, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def end(self) -> None:
        """End every process of this home; first those that start others."""
        for process in self._started:
            process.kill()
            process.wait()
        # Once more for what was being started while the others were ended.
        for _ in range(2):
            end_processes_of(self.settings.home)
