"""Servers on loopback that answer as no honest one would, and a name service that lies."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Answer = Callable[[socket.socket], None]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these servers are for."""


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Read each request's head, then let `answer` write to the bare socket; gives `http://127.0.0.1:port`."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with tls.wrap_socket(self.request, server_side=True) if tls else self.request as connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                answer(connection)

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def trickle(connection: socket.socket, start: bytes, drop: bytes) -> None:
    """Send drop after drop, each soon after the last, until the other side hangs up."""
    pause = threading.Event()
    connection.sendall(start)
    while True:
        connection.sendall(drop)
        pause.wait(0.02)


def dead_address() -> str:
    """An address on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


class Names:
    """A name service under the test's control: each look-up of a name gives its next address.

    Besides, it says at which loopback port a public address is found, so that no test leaves the machine.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.served_at: dict[str, int] = {}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, port: int | None, *args: Any, **options: Any) -> Any:
        self.asked.append(host)
        if host in self.served_at:
            return self._real("127.0.0.1", self.served_at[host], *args, **options)
        answers = self.addresses.get(host)
        if answers is None:
            return self._real(host, port, *args, **options)
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]
