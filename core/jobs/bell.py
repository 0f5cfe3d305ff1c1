"""A bell between the doors and the worker of one home, so that a run starts at once.

Looking at a file's time costs microseconds; asking the database as often would keep an idle worker busy.
Hosts that share only the database hear no bell: their workers ask it once a second.
"""

from contextlib import suppress
from pathlib import Path

from core.config import Settings


def ring(settings: Settings) -> None:
    """Tell the worker of this home that there is something to do."""
    _path(settings).touch()


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


def _path(settings: Settings) -> Path:
    return settings.data_dir / "queue.bell"
