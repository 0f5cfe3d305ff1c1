"""The store of this process, and the thread that looks after its runs while the dashboard is open."""

import logging
import threading

from core.jobs.service import Keeper
from core.store import Store

KEEPER_NAME = "keeper"
_EVERY_S = 5.0
# A look waits at most this long for a database that is locked or gone.
_PATIENCE_S = 60.0

log = logging.getLogger(__name__)


class KeptStore:
    """An open store whose runs are looked after: none is left without a worker, or with a dead one."""

    def __init__(self) -> None:
        """Open the store and begin to look.

        Raises:
            TmsError: If it cannot be opened; then no thread was started.
        """
        self.store = Store.open()
        self._closing = threading.Event()
        # A daemon: the interpreter may end in the middle of a look.
        self._thread = threading.Thread(target=self._keep, name=KEEPER_NAME, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more, and let go of the store."""
        self._closing.set()
        self._thread.join(_PATIENCE_S)
        self.store.close()

    def _keep(self) -> None:
        rounds = Rounds(self.store)
        rounds.look()
        while not self._closing.wait(_EVERY_S):
            rounds.look()


class Rounds:
    """Looks after runs whatever happens: trouble is logged, and the next look tries again."""

    def __init__(self, store: Store) -> None:
        """Take the store to look after."""
        self._keeper = Keeper(store)
        self._trouble = ""

    def look(self) -> None:
        """Look once; trouble that stays is told once, not every few seconds."""
        trouble = ""
        try:
            self._keeper.look()
        except Exception as error:
            trouble = str(error)
            if trouble != self._trouble:
                log.exception("Could not look after the runs; this is tried again every %g s.", _EVERY_S)
        self._trouble = trouble
