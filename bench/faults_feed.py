"""Feeds short runs over HTTP to an API that may be dead, as a client does that wants each of them once."""

import random
import threading
import time
from functools import partial
from typing import Any

import requests
import sqlalchemy as sa

from bench.product import Product
from bench.repeated import Repeated
from core.store import Store
from core.store.states import ENDED
from core.store.tables import Run
from tests.processes import wait_until

SIZE_PX, IMAGES, REPLAY = 64, 24, 16
_TRY_AGAIN_S = 0.2
_FEW = 2


class Feeder(Repeated):
    """Posts a run or two whenever few are left, unless it rests."""

    interval_s = 0.3

    def __init__(self, product: Product, store: Store, seed: int) -> None:
        self._product, self._store = product, store
        self._random = random.Random(seed)
        self._rests_until_s = 0.0
        self._hurry, self._posting = threading.Event(), threading.Event()
        self.asked: dict[str, dict[str, Any]] = {}
        self.run_ids: dict[str, str] = {}
        self.cut_off = 0
        self.refused: list[str] = []
        self.answered_otherwise: list[str] = []

    def look(self) -> None:
        """Post something if it is time."""
        left = unended(self._store)
        if self._hurry.is_set() and left > _FEW:
            self.ask_again(self._random.choice(list(self.run_ids)))
        elif self._hurry.is_set() or (left < _FEW and time.monotonic() >= self._rests_until_s):
            self._hand_in()
        self._hurry.clear()

    def begin_to_post(self) -> None:
        """Return when something is being posted, a new run if not many are left."""
        self._posting.clear()
        self._hurry.set()
        wait_until(lambda: self.check() or self._posting.is_set())

    def rest(self, seconds: float) -> None:
        """Post nothing for so long."""
        self._rests_until_s = time.monotonic() + seconds

    def ask(self, key: str) -> str | None:
        """The id of the run that this key stands for, or none if the API does not say it."""
        headers = {"Prefer": "respond-async", "Idempotency-Key": key}
        url = self._product.url("/api/finetune")
        self._posting.set()
        try:
            answer = requests.post(url, json=self.asked[key], headers=headers, timeout=60)
            told = answer.json()
        except requests.RequestException as error:
            # Otherwise nobody listened, and nothing was sent.
            self.cut_off += "refused" not in str(error)
            return None
        # Of a run that has ended meanwhile, however it has, its outcome is told.
        run_id = told.get("id") or told.get("run_id")
        if not run_id:
            self.refused.append(f"{key}: {answer.status_code} {answer.text[:500]}")
        return run_id

    def ask_again(self, key: str) -> None:
        """Post what was posted before; its key has to name the same run as then."""
        first, again = self.run_ids[key], self.ask(key)
        if again not in (first, None):
            self.answered_otherwise.append(f"{key} was answered with {first} at first, later with {again}")

    def finish(self) -> None:
        """Have answered what was not answered when the last process was killed."""
        for key in self.asked.keys() - self.run_ids.keys():
            self.run_ids[key] = wait_until(partial(self.ask, key))

    def _hand_in(self) -> None:
        key = f"faults-{len(self.asked)}"
        self.asked[key] = self._payload()
        while not self._closing.is_set() and key not in self.run_ids:
            if run_id := self.ask(key):
                self.run_ids[key] = run_id
            else:
                self._closing.wait(_TRY_AGAIN_S)

    def _payload(self) -> dict[str, Any]:
        count = self._random.randint(1, 6)
        first = self._random.randrange(IMAGES - count)
        how = {"batch_size": 2, "image_size": SIZE_PX, "train_replay": REPLAY, "freeze": 0}
        epochs = self._random.randint(2, 6)
        return self._product.payload(range(first, first + count), SIZE_PX, epochs=epochs, **how)


def unended(store: Store) -> int:
    """How many runs have not ended."""
    with store.database.read() as session:
        return session.scalar(sa.select(sa.func.count(Run.id)).where(Run.status.not_in(ENDED))) or 0
