"""What the records say when all is over: a finding is a sentence, and there should be none."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa

from core.registry import publish
from core.store import Store, runs
from core.store.blobs import file_sha256
from core.store.states import ENDED
from core.store.tables import Checkpoint, IdempotencyKey, Run, RunEvent

_LINES_SHOWN = 12
_SIGNS_OF_AN_ERROR = ("Traceback (most recent call last)", '"level": "error"')


@dataclass(frozen=True)
class Record:
    """A run and all that was told of it, in the order of the numbers."""

    run: Run
    events: Sequence[RunEvent]

    def epochs(self) -> list[int]:
        """The epochs that were counted."""
        return [event.payload["epoch"] for event in self.events if event.kind == "epoch"]

    @property
    def gave_up(self) -> bool:
        """Whether its owners were killed so often in a row that the product rightly let it fail."""
        return self.run.status == "failed" and (self.run.error or {}).get("code") == "runner_died"


def records(store: Store) -> list[Record]:
    """All runs, oldest first."""
    with store.database.read() as session:
        rows = list(session.scalars(sa.select(Run).order_by(Run.id)))
    return [Record(run, runs.events_after(store, run.id)) for run in rows]


def lost(store: Store, found: Sequence[Record], run_ids: dict[str, str]) -> list[str]:
    """Runs that have no good end, that no key stands for, or whose key stands for another.

    Args:
        store: Has the keys.
        found: All runs.
        run_ids: What each key was answered with.
    """
    with store.database.read() as session:
        kept = {row.key: row.run_id for row in session.scalars(sa.select(IdempotencyKey))}
    keys_of = Counter(kept.values())
    there = {record.run.id for record in found}
    wrong = [
        f"{key} was answered with {told}, and stands for {kept.get(key)}"
        for key, told in run_ids.items()
        if kept.get(key) != told or told not in there
    ]
    bad = [
        f"{record.run.id} is {record.run.status}: {record.run.error}"
        for record in found
        if record.run.status != "succeeded" and not record.gave_up
    ]
    return wrong + bad + [f"{keys_of[id_]} keys stand for {id_}" for id_ in there if keys_of[id_] != 1]


def unended(found: Iterable[Record]) -> list[str]:
    """Runs in no terminal state."""
    return [f"{record.run.id} is {record.run.status}" for record in found if record.run.status not in ENDED]


def written_by_the_dead(found: Iterable[Record]) -> list[str]:
    """Events of an owner behind those of a later one."""
    return [
        f"{record.run.id}: fence {after.fence} in event {after.seq}, behind {before.fence}"
        for record in found
        for before, after in pairwise(record.events)
        if after.fence < before.fence
    ]


def miscounted(found: Iterable[Record]) -> list[str]:
    """Runs whose epochs are not 1, 2, 3 and so on, to the last one if they succeeded."""
    wrong = []
    for record in found:
        epochs, asked = record.epochs(), record.run.request["epochs"]
        expected = asked if record.run.status == "succeeded" else len(epochs)
        if epochs != list(range(1, expected + 1)):
            wrong.append(f"{record.run.id} told epochs {epochs} of {asked}")
    return wrong


def repeated_epochs(record: Record) -> int:
    """How many epochs one resume began anew at most, of those that had begun before."""
    most, newest, fence = 0, 0, 0
    for event in record.events:
        if event.kind == "batch":
            epoch = event.payload["epoch"]
            if event.fence > fence:
                most, fence = max(most, newest - epoch + 1), event.fence
            newest = max(newest, epoch)
    return most


def resumes(record: Record) -> int:
    """How often the run went on behind an epoch that was kept."""
    return sum(event.kind == "resumed" for event in record.events)


def shown_wrongly(store: Store) -> list[str]:
    """Whether what is published is not what the ledger says."""
    champion, shown = publish.champion(store), publish.published_path(store)
    if champion is None or not shown.is_file():
        return ["nothing is published"]
    sha256 = file_sha256(shown)
    return (
        [] if sha256 == champion.sha256 else [f"{shown.name} is {sha256}, the ledger says {champion.sha256}"]
    )


def registered(store: Store) -> set[str]:
    """sha256 of every checkpoint, and ids of all runs: what published files may name."""
    with store.database.read() as session:
        return {*session.scalars(sa.select(Checkpoint.sha256)), *session.scalars(sa.select(Run.id))}


def errors_told(logs: Iterable[Path]) -> list[str]:
    """The beginnings of what logs say of errors."""
    return [
        "\n".join([f"{log.name}:{number + 1}", *lines[number : number + _LINES_SHOWN]])
        for log in sorted(logs)
        for lines in [log.read_text(encoding="utf-8", errors="replace").splitlines()]
        for number, line in enumerate(lines)
        if any(sign in line for sign in _SIGNS_OF_AN_ERROR)
    ]
