"""The product under fire: who is killed, at which moments, and who looks on."""

import math
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil
import sqlalchemy as sa

from bench import faults_evidence as evidence
from bench.faults_census import Census, lives
from bench.faults_feed import Feeder, unended
from bench.faults_watch import Reader, Solitude
from bench.product import Product
from core.store import Store
from core.store.states import ENDED
from core.store.tables import Run, RunEvent
from tests.processes import child_of, wait_until

VICTIMS = {"runner": 4, "worker": 3, "API": 2, "chores": 1, "all": 1}
# Soon behind the kill before, into whatever is being made ready again; when a run has got on since, as most
# would rightly be given up if all kills came soon; and when nothing is left to do, while a spare gets ready.
_MOMENTS = {"soon": 5, "after progress": 4, "at rest": 1}
_MOST_DELAY_S, _MOST_DELAY_AT_REST_S, _MOST_REST_S = 3.0, 12.0, 10.0
# The time in which an API takes a new run in: it is killed before that is committed, or before it answers.
_MOST_DELAY_OF_A_POST_S = 0.1
_PATIENCE_S = 180.0


class Siege:
    """Kills processes of the product; starts only the API again, in the place of a service manager."""

    def __init__(self, product: Product, store: Store, seed: int) -> None:
        self._product, self._store, self._random = product, store, random.Random(seed)
        self.census = Census(product.settings)
        self.reader = Reader(product.settings)
        self.solitude = Solitude(store, self.census)
        self.feeder = Feeder(product, store, seed)
        self.kills: Counter[str] = Counter()
        self.standstills: list[str] = []
        self.left_over: list[str] = []
        self._api = product.start_api()

    def go_on_for(self, kills: int) -> None:
        """Kill so often, then let everything run out."""
        with self.census, self.reader, self.solitude:
            with self.feeder:
                self._kill_so_often(kills)
            self._run_out()
            # Within seconds files that differ from the ledger are mended, and orphans end that load images.
            _wait_or_not(lambda: not evidence.shown_wrongly(self._store))
            _wait_or_not(lambda: not self._off_duty())
            self.left_over = self._off_duty()

    def _kill_so_often(self, kills: int) -> None:
        try:
            while self.kills.total() < kills:
                self._wait_for_a_moment()
                self._strike()
        except AssertionError as error:
            self.standstills.append(f"after kill {self.kills.total()} nothing went on: {error}")

    def _wait_for_a_moment(self) -> None:
        (moment,) = self._random.choices(list(_MOMENTS), list(_MOMENTS.values()))
        if moment == "after progress":
            before = self._achieved()
            wait_until(lambda: self._is_watched() and self._achieved() > before, timeout_s=_PATIENCE_S)
        if moment == "at rest":
            self.feeder.rest(math.inf)
            wait_until(lambda: self._is_watched() and not unended(self._store), timeout_s=_PATIENCE_S)
            self.feeder.rest(self._random.uniform(0, _MOST_REST_S))
        most_s = _MOST_DELAY_AT_REST_S if moment == "at rest" else _MOST_DELAY_S
        _wait_s(self._random.uniform(0, most_s))
        self._is_watched()

    def _is_watched(self) -> bool:
        for watcher in (self.census, self.reader, self.solitude, self.feeder):
            watcher.check()
        if self._api.poll() is not None:
            raise RuntimeError(f"the API ended by itself, with exit status {self._api.returncode}")
        return True

    def _achieved(self) -> int:
        """Epochs that were kept and runs that have ended."""
        with self._store.database.read() as session:
            epochs = session.scalar(sa.select(sa.func.count()).where(RunEvent.kind == "epoch"))
            ended = session.scalar(sa.select(sa.func.count(Run.id)).where(Run.status.in_(ENDED)))
        return (epochs or 0) + (ended or 0)

    def _strike(self) -> None:
        (kind,) = self._random.choices(list(VICTIMS), list(VICTIMS.values()))
        if kind in ("API", "all"):
            self.feeder.begin_to_post()
            _wait_s(self._random.uniform(0, _MOST_DELAY_OF_A_POST_S))
        hit = [victim for victim in self._victims(kind) if _kill(victim)]
        wait_until(lambda: not any(map(lives, hit)))
        if self._api.pid in {victim.pid for victim in hit}:
            self._api.wait()
            self._api = self._product.start("api.app")
        if hit:
            self.kills[kind] += 1
            say(f"kill {self.kills.total()}: {kind}, {len(hit)} processes; {unended(self._store)} runs to go")

    def _victims(self, kind: str) -> list[psutil.Process]:
        api = psutil.Process(self._api.pid)
        if kind == "all":
            return [api, *self.census.living("worker", "runner", "chores")]
        found = [api] if kind == "API" else self.census.living(kind)
        return self._random.sample(found, min(1, len(found)))

    def _run_out(self) -> None:
        """Return when all runs have ended or nothing happens any more, and each was asked for once more."""
        say("no more kills; what is left runs out")
        self.feeder.finish()
        told, told_s = -1, time.monotonic()
        while unended(self._store) and time.monotonic() - told_s < _PATIENCE_S:
            if (now_told := self._events()) != told:
                told, told_s = now_told, time.monotonic()
            self._is_watched()
            _wait_s(0.5)
        wait_until(self._product.api_answers)
        for key in self.feeder.run_ids:
            self.feeder.ask_again(key)

    def _events(self) -> int:
        with self._store.database.read() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(RunEvent)) or 0

    def _off_duty(self) -> list[str]:
        """Processes other than the API, a worker, its spare, and the one that does its chores."""
        workers = self.census.living("worker")[:1]
        modules = ("core.jobs.runner", "core.jobs.chores")
        helpers = [child_of(worker, module) for worker in workers for module in modules]
        on_duty = {self._api.pid, *(process.pid for process in [*workers, *filter(None, helpers)])}
        return [
            f"{process} is left over" for process in self.census.all_of_home() if process.pid not in on_duty
        ]


def _kill(process: psutil.Process) -> bool:
    """Kill a process; whether it was alive."""
    if not lives(process):
        return False
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def _wait_or_not(condition: Callable[[], bool]) -> None:
    with suppress(AssertionError):
        wait_until(condition, timeout_s=60)


def _wait_s(seconds: float) -> None:
    threading.Event().wait(seconds)


def say(what: str) -> None:
    """Tell whoever looks on how far it has come."""
    print(time.strftime("%H:%M:%S"), what, file=sys.stderr, flush=True)
