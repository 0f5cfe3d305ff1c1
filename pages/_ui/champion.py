"""The champion and its figures, as the screens show them."""

from dataclasses import dataclass
from datetime import datetime

from core.registry.publish import champion, ledger
from core.store import Store
from core.store.run_views import list_runs
from pages._ui.words import short_id

_RUNS_LOOKED_AT = 50


@dataclass(frozen=True)
class LiveModel:
    """What is live.

    Attributes:
        id: Its checkpoint.
        since: When it became the champion.
        reason: Why, as the ledger has it.
        metrics: Its scores on the base test set, if a run has judged it; shares from 0 to 1.
    """

    id: str
    since: datetime
    reason: str
    metrics: dict[str, float] | None

    @property
    def name(self) -> str:
        """A short name to recognise it by."""
        return short_id(self.id)


def live_model(store: Store) -> LiveModel | None:
    """The champion with its newest figures, or None before the first one."""
    checkpoint, entries = champion(store), ledger(store, limit=1)
    if checkpoint is None or not entries:
        return None
    newest = entries[0]
    return LiveModel(checkpoint.id, newest.created_at, newest.reason, newest_figures(store, checkpoint.id))


def newest_figures(store: Store, checkpoint_id: str) -> dict[str, float] | None:
    """Scores of the champion from the newest run that judged it, as candidate or as champion of before."""
    for run in list_runs(store, limit=_RUNS_LOOKED_AT, status="succeeded"):
        if run.summary and run.summary.champion_id == checkpoint_id:
            return run.summary.metrics if run.summary.promoted else run.summary.champion_metrics
    return None


def class_names(store: Store) -> list[str]:
    """The live model's classes, ids are positions; none before the first champion."""
    checkpoint = champion(store)
    return list(checkpoint.class_names) if checkpoint else []
