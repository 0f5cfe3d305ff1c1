"""What is looked at while processes are killed: what can be read, and which run nobody works on."""

import hashlib
import json
import time
from collections import Counter
from typing import Any

import sqlalchemy as sa

from bench.faults_census import Census
from bench.repeated import Repeated
from core.config import Settings
from core.registry.published import CHAMPION, LAST_METRICS, PUBLISHED_WEIGHTS
from core.store import Store
from core.store.states import ENDED, WORKING
from core.store.tables import Run, Worker


class Reader(Repeated):
    """An inference service that reads the published files all the time."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.weights_dir
        self._seen: set[str] = set()
        self.reads: Counter[str] = Counter()
        self.torn: list[str] = []

    def look(self) -> None:
        """Read all of them once."""
        self._take(PUBLISHED_WEIGHTS, lambda content: hashlib.sha256(content).hexdigest())
        self._take(CHAMPION, lambda content: json.loads(content)["sha256"])
        self._take(LAST_METRICS, lambda content: json.loads(content)["run_id"])

    def unknown(self, names: set[str]) -> list[str]:
        """What was read and is none of these: sha256 of checkpoints, ids of runs."""
        return [f"{found} was read, which nothing registered has" for found in self._seen - names]

    def _take(self, name: str, meaning: Any) -> None:
        try:
            self._seen.add(meaning((self._folder / name).read_bytes()))
            self.reads[name] += 1
        except FileNotFoundError:
            if self.reads[name]:
                self.torn.append(f"{name} was there and is gone")
        except (ValueError, KeyError) as error:
            self.torn.append(f"{name} cannot be read: {error}")


class Solitude(Repeated):
    """How long a run is at most without anybody who works on it, or on another one before it."""

    interval_s = 0.25

    def __init__(self, store: Store, census: Census) -> None:
        self._store, self._census = store, census
        self._since_s: dict[str, float] = {}
        self.longest_s: dict[str, float] = {}

    def look(self) -> None:
        """Look at every run that has not ended."""
        runs, pids = self._unended()
        living = {process.pid for process in self._census.living("worker")}
        attended = {run.id for run in runs if run.status in WORKING and pids.get(run.owner_id) in living}
        alone = {run.id for run in runs if run.status in WORKING or not attended} - attended
        now = time.monotonic()
        self._since_s = {run_id: self._since_s.get(run_id, now) for run_id in alone}
        for run_id, since_s in self._since_s.items():
            self.longest_s[run_id] = max(self.longest_s.get(run_id, 0.0), now - since_s)

    def _unended(self) -> tuple[list[Run], dict[str | None, int]]:
        """Those runs, and the process behind each owner's id."""
        with self._store.database.read() as session:
            runs = list(session.scalars(sa.select(Run).where(Run.status.not_in(ENDED))))
            pids = {worker.id: worker.pid for worker in session.scalars(sa.select(Worker))}
        return runs, {run.owner_id: pids.get((run.owner_id or "").rpartition(":")[2], -1) for run in runs}
