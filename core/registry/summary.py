"""What a run came to, for the caller who waits and for `last_metrics.json`."""

from typing import Any

from core.dataset.revision import DatasetRevision
from core.evaluation.gate import Decision
from core.feedback import intake
from core.feedback.approved import approved_samples
from core.registry import comparisons, evaluations, publish
from core.schemas import FineTuneSummary, Hyperparameters, JudgedSet
from core.store import Store
from core.store.tables import Comparison as ComparisonRow
from core.store.tables import Run


def of_run(store: Store, run: Run, decision: Decision, *, promoted: bool) -> FineTuneSummary:
    """Put a judged run's answer together.

    Args:
        store: Where its parts are kept.
        run: With parent, candidate and dataset.
        decision: What the gate said.
        promoted: Whether the candidate is live now.
    """
    parent_id, candidate_id = run.parent_id or "", run.checkpoint_id or ""
    frozen = DatasetRevision.load(store.settings.dataset_folder(run.id))
    # A run on all that was approved has no batch of its own to tell of.
    batch_id = run.batch_id if run.learns_from == "batch" else ""
    live = publish.champion(store)
    return FineTuneSummary(
        run_id=run.id,
        weights_path=str(publish.published_path(store)),
        metrics=evaluations.score_of(store, run.id, candidate_id, frozen.test.name).metrics,
        champion_metrics=evaluations.score_of(store, run.id, parent_id, frozen.test.name).metrics,
        log_path=str(store.settings.log_path(run.id)),
        dataset_size=len(frozen.feedback) + frozen.replay_per_epoch,
        feedback_samples=len(frozen.feedback),
        replay_samples=frozen.replay_per_epoch,
        holdout_samples=sum(sample.is_holdout for sample in approved_samples(store, batch_id)),
        filled_boxes=frozen.filled_boxes,
        hyperparameters=hyperparameters_of(run),
        verdict=decision.verdict,
        verdict_reason=_reason(decision, promoted),
        images_needed=decision.images_needed,
        judged_on=[
            _judged_on(row) for row in comparisons.of_run(store, run.id) if row.baseline_id == parent_id
        ],
        promoted=promoted,
        checkpoint_id=candidate_id,
        champion_id=live.id if live else parent_id,
        dataset_digest=frozen.digest,
        quarantined=intake.quarantined(store, batch_id),
    )


def _judged_on(row: ComparisonRow) -> JudgedSet:
    compared = comparisons.changes_of(row)
    change = compared.overall.ap50_95
    return JudgedSet(
        set_name=compared.set_name,
        set_digest=compared.set_digest,
        comparison_id=row.id,
        image_count=compared.image_count,
        group_count=compared.group_count,
        champion=change.old,
        candidate=change.new,
        low_95=change.low_95,
        high_95=change.high_95,
    )


def _reason(decision: Decision, promoted: bool) -> str:
    if decision.publishes and not promoted:
        return f"{decision.reason} It was held, because another checkpoint became champion in the meantime."
    return decision.reason


def hyperparameters_of(run: Run) -> Hyperparameters:
    """The hyperparameters a run was asked to use."""
    return Hyperparameters(**{name: run.request[name] for name in Hyperparameters.model_fields})


def last_metrics(summary: FineTuneSummary) -> dict[str, Any]:
    """The content of `last_metrics.json`: the summary, its hyperparameters under `hyperparams` too.

    Readers of the replaced service look for that key.
    """
    content = summary.model_dump(mode="json")
    return {**content, "hyperparams": content["hyperparameters"]}
