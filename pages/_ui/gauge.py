"""How much is kept, measured beside the screens: with many files that takes longer than anybody waits."""

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import streamlit as st

from core.store import Store
from core.store.usage import StorageUsage, measure

_FRESH = timedelta(seconds=30)

Measured = tuple[StorageUsage, datetime]


class Gauge:
    """Measures in a thread while somebody looks, for all who look."""

    def __init__(self, store: Store) -> None:
        """Take the store; nothing is measured yet."""
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gauge")
        self._newest: Future[Measured] | None = None
        self._next: Future[Measured] | None = None

    def look(self) -> Measured | None:
        """The newest measurement and when it was made, or None while the first one is made.

        Raises:
            TmsError: What the newest one ended with.
        """
        if self._next is not None and self._next.done():
            self._newest, self._next = self._next, None
        if self._next is None and not self._is_fresh():
            self._next = self._thread.submit(self._measure)
        return self._newest.result() if self._newest else None

    def close(self) -> None:
        """Wait for what is being measured, and measure no more."""
        self._thread.shutdown()

    def _is_fresh(self) -> bool:
        if self._newest is None or self._newest.exception():
            return False
        return datetime.now(UTC) - self._newest.result()[1] < _FRESH

    def _measure(self) -> Measured:
        return measure(self._store), datetime.now(UTC)


@st.cache_resource(show_spinner=False, on_release=Gauge.close)
def gauge_of(_store: Store) -> Gauge:
    """One for the whole server, however many look."""
    return Gauge(_store)
