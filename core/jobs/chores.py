"""The process that does chores: `python -m core.jobs.chores`, started by a worker while nothing is queued.

It takes in batches that no run brings, and has the champion look at every batch. It ends when nothing is
left to do, when a run is queued, or when the pipe from its worker closes; it may also be killed at any time.
Each time the next one goes on where it stood. With `--beside-run` it only takes in, for which no device is
needed, and a run may wait or work meanwhile.
"""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from time import monotonic

import psutil
from filelock import Timeout

from core import trainer
from core.config import Settings
from core.dataset import frozen_sets
from core.dataset.base_set import BaseSet
from core.errors import TmsError
from core.evaluation import fresh
from core.registry import checkpoints, publish
from core.store import Store, chores, claims
from core.store.database import AWAY
from core.store.tables import Batch
from core.training import isolation
from core.training.device import free_device_lock, resolve_device

_INPUT = 0
_LAST_WORDS_S = 0.3
_SIGN_OF_LIFE_S = 3.0
_NICENESS = 10

log = logging.getLogger(__name__)


class GivesWay(Exception):
    """A run is queued: whatever is done now stops here."""


def main() -> int:
    """Do what is due."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside-run", action="store_true", help="Only take in; leave the device alone.")
    beside_run = parser.parse_args().beside_run
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    _let_others_go_first()
    with Store.open() as store:
        work = Chores(store, beside_run=beside_run)
        threading.Thread(target=_end_with_worker, args=(work,), daemon=True).start()
        try:
            work.do_all()
        except AWAY as error:
            log.warning("The database does not answer: %s. The chores wait.", type(error).__name__)
            return 1
    return 0


class Chores:
    """What is due, one batch after the other."""

    def __init__(self, store: Store, *, beside_run: bool = False) -> None:
        """Take the store, and whether a run has the device; nothing is begun yet."""
        self._store, self._beside_run = store, beside_run
        self._batch_id: str | None = None
        self._noted_s = 0.0

    def do_all(self) -> None:
        """Do what is due, oldest batch first, until nothing is or a run is queued.

        A batch that cannot be done keeps the reason, and is tried again after a pause.
        """
        with suppress(GivesWay):
            while (batch := self._next()) is not None:
                self._attempt(batch)

    def give_way(self) -> None:
        """Leave the batch that is worked on without a blemish: the next attempt may come at once."""
        if self._batch_id is not None:
            chores.pause(self._store, self._batch_id)

    def _next(self) -> Batch | None:
        self._check()
        return chores.begin_next(self._store, beside_run=self._beside_run)

    def _attempt(self, batch: Batch) -> None:
        self._batch_id = batch.id
        try:
            self._take_in(batch)
            if self._beside_run:
                self.give_way()
            else:
                self._look_at(batch.id)
        except GivesWay:
            self.give_way()
            raise
        except AWAY:
            raise
        except Exception as error:  # Whatever it is, the other batches are done.
            reason = error.detail if isinstance(error, TmsError) else f"{type(error).__name__}: {error}"
            log.warning("Batch %s could not be done. %s", batch.id, reason, exc_info=error)
            chores.fail(self._store, batch.id, reason)
        self._batch_id = None

    def _take_in(self, batch: Batch) -> None:
        if batch.taken_in_at is not None:
            return
        log.info("Batch %s is taken in.", batch.id)
        live = trainer.adopt(self._store, lambda step, _: log.info("%s", step))
        trainer.take_in(self._store, batch.id, self._base.in_order_of(live.class_names), live, self._tell)

    def _look_at(self, batch_id: str) -> None:
        with self._store.database.read() as session:
            batch = session.get_one(Batch, batch_id)
        champion = publish.live_at_intake(self._store, batch_id)
        log.info("Checkpoint %s looks at batch %s.", champion.id, batch_id)
        isolation.isolate(self._store.settings)
        weights = checkpoints.verified_weights(self._store, champion)
        with _unused_device(self._store.settings) as device:
            for step in (fresh.look_at, fresh.score_batch):
                step(self._store, batch_id, champion, weights, device=device, check=self._check)
        chores.done(self._store, batch)

    @cached_property
    def _base(self) -> BaseSet:
        return frozen_sets.base_set(self._store)

    def _tell(self, done: int, total: int) -> None:
        self._check()
        if monotonic() - self._noted_s >= _SIGN_OF_LIFE_S and self._batch_id:
            self._noted_s = monotonic()
            with self._store.database.write() as session:
                chores.got_on(session, self._batch_id)

    def _check(self) -> None:
        if not self._beside_run and claims.anyone_waits(self._store):
            raise GivesWay


@contextmanager
def _unused_device(settings: Settings) -> Iterator[str]:
    """A GPU that nobody computes on, held while the block runs; else the CPU, which needs no lock.

    On the CPU, others are let first by the operating system.
    """
    device = resolve_device(settings.device).split(",", maxsplit=1)[0]
    with ExitStack() as held:
        if device != "cpu":
            try:
                held.enter_context(free_device_lock(settings, device))
            except Timeout:
                device = "cpu"
        yield device


def _let_others_go_first() -> None:
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICENESS)


def _end_with_worker(work: Chores) -> None:
    while os.read(_INPUT, 1):
        pass
    # The database may be busy; the run that comes is not to wait for that.
    last_words = threading.Thread(target=work.give_way, daemon=True)
    last_words.start()
    last_words.join(_LAST_WORDS_S)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
