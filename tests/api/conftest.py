"""An API over a store of its own, without a worker: what a run does next is up to the test."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import Server, create_app
from core.config import Settings
from core.store import Store
from tests.processes import wait_until

LOCAL = ("127.0.0.1", 50_000)
BASE_URL = "http://127.0.0.1:8002"


class DemoSettings(Settings):
    """Those of the demo, wherever the checkout lies and whatever lies beside it."""

    @property
    def is_demo(self) -> bool:
        return True


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=BASE_URL, client=LOCAL) as client:
        yield client


@pytest.fixture
def store(client: TestClient, app: FastAPI) -> Store:
    """The store that the running app holds open."""
    return app.state.store


@pytest.fixture
def remote(client: TestClient, app: FastAPI) -> TestClient:
    """A caller on another machine."""
    return TestClient(app, base_url=BASE_URL, client=("203.0.113.9", 50_000))


@contextmanager
def serving(app: FastAPI, settings: Settings) -> Iterator[tuple[Server, str]]:
    """The app behind a real socket, as `host:port`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(app, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield server, f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
