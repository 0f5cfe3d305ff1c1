"""Delivers news beside other work: a webhook that hangs holds up neither runs nor other webhooks."""

import logging
import threading

from core.registry import delivery
from core.store import Store
from core.store.database import AWAY

log = logging.getLogger(__name__)


class Postman:
    """Starts a thread for each webhook for which something is due; it ends when nothing is."""

    def __init__(self, store: Store) -> None:
        """Take the store whose outbox is to be emptied."""
        self._store = store
        self._threads: dict[str, threading.Thread] = {}

    def look(self) -> None:
        """Look once; call it every few seconds. Other processes may do the same: each delivery is one's."""
        self._threads = {id_: thread for id_, thread in self._threads.items() if thread.is_alive()}
        for webhook_id in delivery.due_webhooks(self._store):
            if webhook_id not in self._threads:
                # A daemon: a process may end in the middle of a delivery, and another one repeats it.
                thread = threading.Thread(
                    target=self._deliver, args=(webhook_id,), name=f"postman {webhook_id}", daemon=True
                )
                self._threads[webhook_id] = thread
                thread.start()

    def wait(self) -> None:
        """Return when all that was due has been tried."""
        for thread in self._threads.values():
            thread.join()

    def _deliver(self, webhook_id: str) -> None:
        try:
            delivery.deliver(self._store, webhook_id)
        except AWAY as error:
            log.warning("the database does not answer: %s", type(error).__name__)
