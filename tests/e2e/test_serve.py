"""`make run` behind its set-up: one command prepares, starts both doors, and ends both."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import requests

from core.config import CHECKOUT
from tests.processes import free_port, wait_until


@contextmanager
def _served(product) -> Iterator[tuple[psutil.Popen, list[str]]]:
    ports = [free_port(), free_port()]
    environment = os.environ | product.environment()
    environment |= {"TMS_API_PORT": str(ports[0]), "STREAMLIT_SERVER_PORT": str(ports[1])}
    with (product.home / "serve.out").open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "tools.serve"], cwd=CHECKOUT, env=environment, stdout=output, stderr=output
        )
    addresses = [f"http://127.0.0.1:{ports[0]}/health", f"http://127.0.0.1:{ports[1]}/_stcore/health"]
    try:
        wait_until(lambda: not process.is_running() or all(map(_answers, addresses)))
        yield process, addresses
    finally:
        for each in [*process.children(recursive=True), process] if process.is_running() else []:
            each.kill()


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_command_starts_both_doors_and_one_signal_ends_both(product, number):
    with _served(product) as (process, addresses):
        assert requests.get(addresses[0], timeout=5).json()["champion_id"].startswith("ckpt-")
        process.send_signal(number)
        assert process.wait(60) == 0
        assert not any(map(_answers, addresses))


def test_a_door_that_dies_takes_the_other_along_and_is_named(product):
    with _served(product) as (process, addresses):
        api = next(child for child in process.children() if "api.app" in child.cmdline())
        api.kill()
        assert process.wait(60) != 0
        assert not any(map(_answers, addresses))
    assert "The API ended" in (product.home / "serve.out").read_text()
