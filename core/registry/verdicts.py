"""From comparisons to a verdict: the gate under the settings in force."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from core.config import Settings
from core.dataset.frozen_sets import HOLDOUT
from core.evaluation.gate import Decision, decide
from core.evaluation.policy import Evidence, Policy
from core.registry import comparisons
from core.schemas import Promotion
from core.store import Store
from core.store.tables import Comparison, LedgerEntry, Run

BASE_TEST = "test"


@dataclass(frozen=True)
class Judgement:
    """Two checkpoints compared, and what the gate finds.

    Attributes:
        comparisons: On the base test set, and on the holdout if there is one.
        decision: Verdict, reasons, and whether the policy would publish the candidate by itself.
    """

    comparisons: tuple[Comparison, ...]
    decision: Decision


def verdict_on(store: Store, run: Run) -> Decision:
    """What the gate finds of a judged run, under the policy that it was asked with."""
    rows = comparisons.of_run(store, run.id)
    return judgement(store, rows, run.parent_id or "", run.request["promotion"]).decision


def known(
    store: Store, baseline_id: str, candidate_id: str, promotion: Promotion = "manual"
) -> Judgement | None:
    """What two checkpoints were found to be when they were last compared, if ever; scores nothing.

    Where a run did that, what it held the candidate against further back counts too, so that its verdict is
    the same everywhere.
    """
    rows = comparisons.of_pair(store, baseline_id, candidate_id)
    on_test = next((row for row in rows if row.set_name == BASE_TEST), None)
    if on_test is None:
        return None
    of_run = comparisons.of_run(store, on_test.run_id) if on_test.run_id else []
    ancestors = [row for row in of_run if row.baseline_id != baseline_id]
    return judgement(store, [*rows, *ancestors], baseline_id, promotion)


def judgement(store: Store, rows: Sequence[Comparison], baseline_id: str, promotion: Promotion) -> Judgement:
    """What the gate finds of these comparisons; those with another baseline look further back.

    Raises:
        KeyError: If none of them is with this baseline on the base test set.
    """
    decision = decide(_evidence(store, rows, baseline_id), policy_of(store.settings, promotion))
    return Judgement(tuple(rows), decision)


def policy_of(settings: Settings, promotion: Promotion) -> Policy:
    """What is demanded of a candidate under these settings."""
    return Policy(
        promotion=promotion,
        margin=settings.regression_margin,
        class_margin=settings.class_regression_margin,
        decay_budget=settings.decay_budget,
        recall_floors=settings.recall_floor_by_class,
    )


def champions(store: Store) -> list[str]:
    """Whatever was live, the last first and each once."""
    query = sa.select(LedgerEntry.checkpoint_id).order_by(LedgerEntry.id.desc())
    with store.database.read() as session:
        return list(dict.fromkeys(session.scalars(query)))


def _evidence(store: Store, rows: Sequence[Comparison], baseline_id: str) -> Evidence:
    direct = {row.set_name: row for row in rows if row.baseline_id == baseline_id}
    first = champions(store)[-1:]
    ancestors = {
        _called(row.baseline_id, first): comparisons.changes_of(row)
        for row in rows
        if row.baseline_id != baseline_id
    }
    holdout = direct.get(HOLDOUT)
    return Evidence(
        base=comparisons.changes_of(direct[BASE_TEST]),
        holdout=comparisons.changes_of(holdout) if holdout else None,
        ancestors=ancestors,
    )


def _called(checkpoint_id: str, first: list[str]) -> str:
    return "the baseline" if [checkpoint_id] == first else f"{checkpoint_id}, the best of the last champions"
