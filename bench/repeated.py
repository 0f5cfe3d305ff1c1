"""Something done again and again beside the rest of a benchmark."""

import threading
from typing import Any


class Repeated:
    """Something done again and again in a thread, in a `with` block; what it raises ends the block too."""

    interval_s = 0.02

    def __enter__(self) -> Any:
        self._closing, self._failure = threading.Event(), None
        self._thread = threading.Thread(target=self._go_on, name=type(self).__name__, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    def look(self) -> None:
        """Do it once."""
        raise NotImplementedError

    def _go_on(self) -> None:
        try:
            while not self._closing.wait(self.interval_s):
                self.look()
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for this one
            self._failure = error
