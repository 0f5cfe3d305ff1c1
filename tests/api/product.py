"""The API as a process of its own, with the worker that it starts, on a tiny detector."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
import psutil

from core.config import CHECKOUT, Settings
from core.jobs.service import live_workers
from core.store import Store
from tests.processes import wait_until


def run_python(settings: Settings, *arguments: Any) -> str:
    """What a Python process under these settings writes."""
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | settings.environment()
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def api_process(settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    """`python -m api.app`, and a client that waits as long as it takes."""
    log = settings.home / "api.out"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.app"],
            cwd=CHECKOUT, env=os.environ | settings.environment(), stdout=output, stderr=output,
        )  # fmt: skip
    with httpx2.Client(base_url=f"http://127.0.0.1:{settings.api_port}", timeout=600) as client:
        try:
            wait_until(lambda: process.poll() is not None or _answers(client))
            assert process.poll() is None, log.read_text()
            yield process, client
        finally:
            process.terminate()
            process.wait(60)


def workers_of(settings: Settings) -> list[psutil.Process]:
    """The worker processes that this product started and that still live."""
    with Store.open(settings) as store:
        return [psutil.Process(worker.pid) for worker in live_workers(store) if psutil.pid_exists(worker.pid)]


def _answers(client: httpx2.Client) -> bool:
    with suppress(httpx2.TransportError):
        return client.get("/health/live").status_code == 200
    return False
