"""The real product as processes of its own on a temporary home, and a browser to look at it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from core.config import CHECKOUT
from tests.processes import clean_environment, end_processes_of, free_port

_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 300_000
"""How long a browser waits: a machine may be many times slower than the one that a test was written on."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE = Retry(total=1200, connect=1200, read=0, backoff_factor=0.2, backoff_max=0.25)


def chromium_path() -> str | None:
    """The browser that tests drive: `TMS_TEST_CHROMIUM`, else one that the system has."""
    named = os.environ.get("TMS_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium with a profile of its own."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium_path(), args=_CHROMIUM)
        yield opened
        opened.close()


@contextmanager
def open_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a context of its own."""
    expect.set_options(timeout=PATIENCE_MS)
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@dataclass(frozen=True)
class Product:
    """A running dashboard, with its API if it has one.

    Attributes:
        home: Root of its state.
        url: Where the dashboard answers.
    """

    home: Path
    url: str


@contextmanager
def dashboard(home: Path, **settings: str) -> Iterator[Product]:
    """The dashboard alone; no worker takes what is queued."""
    with _product(home, {"TMS_WORKER_AUTOSTART": "0"} | settings, with_api=False) as running:
        yield running


@contextmanager
def whole_product(home: Path, **settings: str) -> Iterator[Product]:
    """Dashboard and API, as `make run` starts them; they start a worker when one is needed."""
    with _product(home, settings, with_api=True) as running:
        yield running


@contextmanager
def _product(home: Path, settings: dict[str, str], *, with_api: bool) -> Iterator[Product]:
    port, api_port = free_port(), free_port()
    environment = clean_environment() | {"TMS_HOME": str(home), "TMS_API_PORT": str(api_port)} | settings
    dashboard_command = ["-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    with ExitStack() as stack:
        stack.callback(end_processes_of, home)
        if with_api:
            stack.enter_context(_server(["-m", "api.app"], environment, home / "api.out"))
            _wait_for(f"http://127.0.0.1:{api_port}/health")
        stack.enter_context(_server(dashboard_command, environment, home / "dashboard.out"))
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        yield Product(home, f"http://127.0.0.1:{port}")


@contextmanager
def _server(arguments: list[str], environment: dict[str, str], output: Path) -> Iterator[None]:
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_MS / 1000)


def _wait_for(url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", HTTPAdapter(max_retries=_PATIENCE))
        session.get(url, timeout=PATIENCE_MS / 1000).raise_for_status()
