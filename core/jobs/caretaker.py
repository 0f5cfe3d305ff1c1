"""Has chores done by a process of their own, which makes way for a run."""

import logging
import subprocess
from contextlib import suppress
from time import monotonic

from core.jobs import crew
from core.store import Store, chores
from core.store.database import AWAY

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 600.0
_GRACE_S = 1.0

log = logging.getLogger(__name__)


class Caretaker:
    """Starts the process that does chores, one at a time, and ends it."""

    def __init__(self, store: Store) -> None:
        """Take the store to look after; nothing is started yet."""
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None
        self._pause_s, self._paused_until_s = 0.0, 0.0

    def look(self, *, beside_run: bool = False) -> bool:
        """Have done what is due; call it about once a second.

        Args:
            beside_run: Whether a run has the device; then batches are only taken in.

        Returns:
            Whether something is being done.
        """
        if self._process is not None and self._process.poll() is not None:
            self._conclude(self._process)
        if self._process is None and monotonic() >= self._paused_until_s and self._is_any_due(beside_run):
            options = ["--beside-run"] if beside_run else []
            self._process = crew.start(self._store.settings, "core.jobs.chores", *options)
        return self._process is not None

    def make_way(self) -> None:
        """Tell the process to end, because a run comes; it does so within moments."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def end(self) -> None:
        """Return when the process is gone, by itself or by force."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
            crew.end(process)

    def _conclude(self, process: "subprocess.Popen[bytes]") -> None:
        """Leave a process alone for a while that ended badly: it would do so again."""
        crew.end(process)
        self._process = None
        if process.returncode == 0:
            self._pause_s = 0.0
            return
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._paused_until_s = monotonic() + self._pause_s
        log.warning(
            "The process for chores ended with status %d; the next one starts in %.0f s.",
            process.returncode,
            self._pause_s,
        )

    def _is_any_due(self, beside_run: bool) -> bool:
        with suppress(*AWAY), self._store.database.read() as session:
            return chores.is_any_due(session, beside_run=beside_run)
        return False
