"""What checkpoints scored on frozen sets, with raw detections from which every figure can be made again."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.evaluation.detections import Detections
from core.evaluation.figures import Figures
from core.evaluation.metrics import Score
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Comparison, Evaluation


def record(
    store: Store,
    checkpoint_id: str,
    score: Score,
    *,
    image_size: int = 0,
    figures: Figures | None = None,
    detections: Detections | None = None,
    run_id: str | None = None,
) -> Evaluation:
    """Keep what a checkpoint scored; of a run, in place of what an earlier attempt of it kept.

    Args:
        store: Where it is kept.
        checkpoint_id: The checkpoint.
        score: As Ultralytics scores it.
        image_size: Longer side, in pixels.
        figures: As we score it.
        detections: What both were made from.
        run_id: The run that asked for it, if one did.

    Raises:
        DiskFull: If there is no space, and BlobStoreUnavailable if the blob store does not answer.
    """
    sha256 = store.blobs.put(detections.to_parquet(), "detections") if detections else None
    row = Evaluation(
        id=new_id("eval"),
        run_id=run_id,
        checkpoint_id=checkpoint_id,
        set_name=score.set_name,
        set_digest=score.set_digest,
        image_count=score.image_count,
        metrics=score.metrics,
        per_class=score.rows(),
        image_size=image_size,
        figures=figures.model_dump(mode="json") if figures else None,
        detections_sha256=sha256,
    )
    with store.database.write() as session:
        if run_id is not None:
            same = (Evaluation.run_id == run_id, Evaluation.checkpoint_id == checkpoint_id)
            _remove(store, session, *same, Evaluation.set_name == score.set_name, but=sha256)
        session.add(row)
    return row


def evaluations_of(store: Store, run_id: str) -> list[Evaluation]:
    """All scores of a run, of both checkpoints on every set."""
    query = sa.select(Evaluation).where(Evaluation.run_id == run_id).order_by(Evaluation.id)
    with store.database.read() as session:
        return list(session.scalars(query))


def evaluation_of(store: Store, run_id: str, checkpoint_id: str, set_name: str) -> Evaluation:
    """What a checkpoint scored on a set in a run.

    Raises:
        NotFound: If it was not scored there.
    """
    for row in evaluations_of(store, run_id):
        if (row.checkpoint_id, row.set_name) == (checkpoint_id, set_name):
            return row
    raise NotFound(f"Run {run_id} has no score of {checkpoint_id} on {set_name}.")


def score_of(store: Store, run_id: str, checkpoint_id: str, set_name: str) -> Score:
    """What a checkpoint scored on a set in a run, by Ultralytics; raises as `evaluation_of` does."""
    row = evaluation_of(store, run_id, checkpoint_id, set_name)
    return Score(
        set_name=row.set_name,
        set_digest=row.set_digest,
        image_count=row.image_count,
        metrics=row.metrics,
        per_class=tuple(row.per_class),
    )


def find(store: Store, checkpoint_id: str, set_digest: str, image_size: int) -> Evaluation | None:
    """The newest score of a checkpoint on exactly this set at this size, its detections kept."""
    query = (
        sa.select(Evaluation)
        .where(Evaluation.checkpoint_id == checkpoint_id, Evaluation.set_digest == set_digest)
        .where(Evaluation.image_size == image_size, Evaluation.detections_sha256.is_not(None))
        .order_by(Evaluation.id.desc())
        .limit(1)
    )
    with store.database.read() as session:
        return session.scalar(query)


def detections_of(store: Store, evaluation: Evaluation) -> Detections:
    """The raw detections of a score.

    Raises:
        NotFound: If it is of before they were kept.
        BlobDamaged: If they are missing or altered.
        BlobStoreUnavailable: If the blob store does not answer.
    """
    if evaluation.detections_sha256 is None:
        raise NotFound(f"The detections of evaluation {evaluation.id} were not kept. Score it again.")
    return Detections.from_parquet(store.blobs.get(evaluation.detections_sha256))


def forget(store: Store, session: Session, checkpoint_id: str) -> None:
    """Remove all scores and comparisons of a checkpoint, in the caller's transaction.

    Raises:
        BlobStoreUnavailable: If the blob store does not answer.
    """
    pair = sa.or_(Comparison.baseline_id == checkpoint_id, Comparison.candidate_id == checkpoint_id)
    kept = set(session.scalars(sa.select(Comparison.images_sha256).where(pair)))
    session.execute(sa.delete(Comparison).where(pair))
    for sha256 in kept:
        if not session.scalar(sa.select(sa.exists().where(Comparison.images_sha256 == sha256))):
            store.blobs.delete(sha256)
    _remove(store, session, Evaluation.checkpoint_id == checkpoint_id)


def _remove(store: Store, session: Session, *which: sa.ColumnElement[bool], but: str | None = None) -> None:
    """Remove scores, and their detections unless another score has the same."""
    kept = set(session.scalars(sa.select(Evaluation.detections_sha256).where(*which)))
    session.execute(sa.delete(Evaluation).where(*which))
    for sha256 in filter(None, kept - {but}):
        if not session.scalar(sa.select(sa.exists().where(Evaluation.detections_sha256 == sha256))):
            store.blobs.delete(sha256)
