"""A bell between the doors and the worker of one home, so that a run starts at once.

It is a file: looking at its time costs microseconds, asking the database as often would keep an idle worker
busy. In it stands the port of this host at which the worker is woken.
Hosts that share only the database hear no bell: their workers ask it once a second.
"""

import select
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from core.config import Settings

_LOOPBACK = "127.0.0.1"
_RING = b"tms"


def ring(settings: Settings) -> None:
    """Tell the worker of this home that there is something to do."""
    _path(settings).touch()
    # Nobody has waited yet, or his port is gone with him: then it is heard at the next look.
    with suppress(OSError, ValueError), _socket() as sender:
        sender.sendto(_RING, (_LOOPBACK, int(_path(settings).read_text())))


class Listener:
    """Hears whether the bell has rung since it was last asked."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings that say where the bell is."""
        self._bell = _path(settings)
        self._heard_ns = 0

    def has_rung(self) -> bool:
        """Whether it has; at first that is so if it ever has."""
        rung_ns = 0
        with suppress(FileNotFoundError):
            rung_ns = self._bell.stat().st_mtime_ns
        is_new, self._heard_ns = rung_ns != self._heard_ns, rung_ns
        return is_new


class Sleeper:
    """Sleeps until the bell rings, without looking again and again."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings that say where the bell is."""
        self._bell, self._socket = _path(settings), _socket()

    def __enter__(self) -> Self:
        self._socket.bind((_LOOPBACK, 0))
        self._socket.setblocking(False)
        self._bell.write_text(str(self._socket.getsockname()[1]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bell.write_text("")
        self._socket.close()

    def sleep(self, most_s: float) -> None:
        """Return when the bell has rung since the last time, and after so many seconds in any case."""
        select.select([self._socket], [], [], most_s)
        # Windows tells here of a datagram of ours that nobody took.
        with suppress(OSError):
            while self._socket.recv(len(_RING)):
                pass


def _socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _path(settings: Settings) -> Path:
    return settings.data_dir / "queue.bell"
