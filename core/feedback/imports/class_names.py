"""Which class of the live model a class name of an import stands for."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import sqlalchemy as sa

from core.errors import InvalidRequest
from core.store import Store
from core.store.tables import Batch

ClassMap = Mapping[str, str | None]
Why = Literal["chosen", "remembered", "same", "alike", "unknown"]
SOURCE = "import"
"""`Batch.source` of every import."""
_BATCHES_REMEMBERED = 200


class Match(NamedTuple):
    """The live class that a name stands for; None leaves its boxes out, unless `why` is `unknown`."""

    live_name: str | None
    why: Why


def matches(
    names: Iterable[str], class_names: Sequence[str], chosen: ClassMap, remembered: ClassMap
) -> dict[str, Match]:
    """What each name stands for: what was chosen, else what was chosen last time, else what looks the same.

    Args:
        names: Class names of the import.
        class_names: The live model's.
        chosen: By the caller, now.
        remembered: By somebody, for an earlier import.

    Raises:
        InvalidRequest: If something was chosen that is no class of the live model.
    """
    wrong = sorted({str(live) for live in chosen.values() if live is not None} - set(class_names))
    if wrong:
        known = ", ".join(class_names)
        raise InvalidRequest(f"The live model has no class {', '.join(wrong)}. Its classes are {known}.")
    return {name: _match(name, class_names, chosen, remembered) for name in names}


def _match(name: str, class_names: Sequence[str], chosen: ClassMap, remembered: ClassMap) -> Match:
    if name in chosen:
        return Match(chosen[name], "chosen")
    if name in remembered and (remembered[name] is None or remembered[name] in class_names):
        return Match(remembered[name], "remembered")
    if name in class_names:
        return Match(name, "same")
    alike = [live for live in class_names if _plain(live) == _plain(name)]
    return Match(alike[0], "alike") if len(alike) == 1 else Match(None, "unknown")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def remembered_map(store: Store) -> dict[str, str | None]:
    """How class names were mapped in earlier imports; where they differ, the newest counts."""
    query = sa.select(Batch.class_map).where(Batch.source == SOURCE).order_by(Batch.id.desc())
    with store.database.read() as session:
        newest_first = list(session.scalars(query.limit(_BATCHES_REMEMBERED)))
    mapped: dict[str, str | None] = {}
    for class_map in reversed(newest_first):
        mapped |= class_map or {}
    return mapped
