"""A lean image server with a wait before each answer: `python -m bench.image_server FOLDER LATENCY_S`.

It prints its port, serves until it is ended, and costs as little of the processor as Python lets it, since it
shares that with what is measured.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.config import CHECKOUT

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


class _Connection(asyncio.Protocol):
    def __init__(self, folder: Path, latency_s: float) -> None:
        self._folder, self._latency_s, self._head = folder, latency_s, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            name = self._head.split(b" ", 2)[1].decode().lstrip("/")
            self._head = b""
            asyncio.get_running_loop().call_later(self._latency_s, self._answer, name)

    def _answer(self, name: str) -> None:
        content = (self._folder / Path(name).name).read_bytes()
        self._transport.write(_HEAD % len(content) + content)


async def _serve(folder: Path, latency_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(folder, latency_s), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(folder: Path, latency_s: float) -> Iterator[str]:
    """Serve a folder in a process of its own; gives its address."""
    command = [sys.executable, "-m", "bench.image_server", str(folder), str(latency_s)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), float(sys.argv[2])))
