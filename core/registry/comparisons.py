"""Comparisons of two checkpoints on one set, as they are kept."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from pydantic import TypeAdapter

from core.errors import NotFound
from core.evaluation.comparison import Comparison, compare
from core.evaluation.detections import Truth
from core.evaluation.image_changes import ImageChanges, image_changes
from core.registry import evaluations
from core.registry.evaluations import detections_of
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Comparison as ComparisonRow
from core.store.tables import Evaluation, UtcDateTime

_IMAGES = TypeAdapter(tuple[ImageChanges, ...])


@dataclass(frozen=True)
class ComparedPair:
    """Two checkpoints that were compared, and when that was done last."""

    baseline_id: str
    candidate_id: str
    compared_at: datetime


def keep(
    store: Store,
    truth: Truth,
    baseline: Evaluation,
    candidate: Evaluation,
    class_names: tuple[str, ...],
    run_id: str | None = None,
) -> ComparisonRow:
    """Compare two scores on one set and keep what comes of it, unless that has been done before.

    Args:
        store: Where it is kept; its settings have the deploy threshold and the weights of the classes.
        truth: The labels of the set.
        baseline: The old checkpoint's score.
        candidate: The new one's, at the same image size.
        class_names: Ids are positions.
        run_id: The run that asked for it, if one did.

    Raises:
        DifferentSets: If the scores are of other sets.
        BlobDamaged: If detections are missing or altered.
    """
    confidence = store.settings.deploy_confidence
    known = find(store, baseline, candidate, confidence, run_id)
    if known is not None:
        return known
    both = [detections_of(store, one) for one in (baseline, candidate)]
    compared = compare(truth, *both, class_names=class_names, confidence=confidence)
    weights = dict(enumerate(store.settings.weight_by_class.get(name, 1.0) for name in class_names))
    changed = image_changes(truth, *both, confidence=confidence, class_weights=weights)
    row = ComparisonRow(
        id=new_id("comparison"),
        run_id=run_id,
        baseline_id=baseline.checkpoint_id,
        candidate_id=candidate.checkpoint_id,
        set_name=truth.set_name,
        set_digest=truth.set_digest,
        image_size=candidate.image_size,
        confidence=confidence,
        changes=compared.model_dump(mode="json"),
        images_sha256=store.blobs.put(_IMAGES.dump_json(changed), "changes image by image"),
    )
    with store.database.write() as session:
        session.add(row)
    return row


def find(
    store: Store, baseline: Evaluation, candidate: Evaluation, confidence: float, run_id: str | None = None
) -> ComparisonRow | None:
    """The comparison of exactly these, of this run if one is named."""
    same = {
        "baseline_id": baseline.checkpoint_id,
        "candidate_id": candidate.checkpoint_id,
        "set_digest": candidate.set_digest,
        "image_size": candidate.image_size,
        "confidence": confidence,
    }
    query = sa.select(ComparisonRow).filter_by(**same).order_by(ComparisonRow.id.desc()).limit(1)
    if run_id is not None:
        query = query.where(ComparisonRow.run_id == run_id)
    with store.database.read() as session:
        return session.scalar(query)


def of_run(store: Store, run_id: str) -> list[ComparisonRow]:
    """What a run was judged by, oldest first."""
    query = sa.select(ComparisonRow).where(ComparisonRow.run_id == run_id).order_by(ComparisonRow.id)
    with store.database.read() as session:
        return list(session.scalars(query))


def of_pair(store: Store, baseline_id: str, candidate_id: str) -> list[ComparisonRow]:
    """The newest comparison of two checkpoints on each set."""
    same = {"baseline_id": baseline_id, "candidate_id": candidate_id}
    query = sa.select(ComparisonRow).filter_by(**same).order_by(ComparisonRow.id)
    with store.database.read() as session:
        return list({row.set_name: row for row in session.scalars(query)}.values())


def recent_pairs(store: Store, *, limit: int, candidate_id: str | None = None) -> list[ComparedPair]:
    """Pairs that were compared, of one candidate if it is named; the one that was compared last comes first.

    Args:
        store: Where comparisons are kept.
        limit: At most this many.
        candidate_id: Only pairs in which this one was judged.
    """
    newest = sa.func.max(ComparisonRow.id)
    pair = (ComparisonRow.baseline_id, ComparisonRow.candidate_id)
    compared_at = sa.func.max(ComparisonRow.created_at, type_=UtcDateTime())
    query = sa.select(*pair, compared_at).group_by(*pair).order_by(newest.desc()).limit(limit)
    if candidate_id is not None:
        query = query.where(ComparisonRow.candidate_id == candidate_id)
    with store.database.read() as session:
        return [ComparedPair(*row) for row in session.execute(query)]


def scores_of(store: Store, row: ComparisonRow) -> tuple[Evaluation, Evaluation] | None:
    """The scores that a comparison was made from, the baseline's first; None if they are gone."""
    old, new = (
        evaluations.find(store, checkpoint_id, row.set_digest, row.image_size)
        for checkpoint_id in (row.baseline_id, row.candidate_id)
    )
    return (old, new) if old and new else None


def changes_of(row: ComparisonRow) -> Comparison:
    """The figures of a kept comparison."""
    return Comparison.model_validate(row.changes)


def images_of(store: Store, comparison_id: str) -> tuple[ImageChanges, ...]:
    """The images in which the two differ, the most harmful first.

    Raises:
        NotFound: If there is no such comparison.
        BlobDamaged: If they are missing or altered.
        BlobStoreUnavailable: If the blob store does not answer.
    """
    with store.database.read() as session:
        row = session.get(ComparisonRow, comparison_id)
    if row is None:
        raise NotFound(f"There is no comparison {comparison_id}.")
    return _IMAGES.validate_json(store.blobs.get(row.images_sha256))
