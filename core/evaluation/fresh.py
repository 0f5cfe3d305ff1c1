"""A batch as the champion sees it that was live when the batch came in: before it learns from it.

May be broken off at any moment and begun again: what was seen in an image is kept, and looked at no second
time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.config import DEFAULT_IMAGE_SIZE, LOWEST_CONFIDENCE
from core.dataset import batch_images
from core.dataset.images import ImageSet, LabelledImage
from core.evaluation.metrics import Score
from core.feedback import disagreement, gaps, predictions
from core.feedback.boxes import PredictedDetection
from core.schemas import BatchScoreView
from core.store import Store, chores
from core.store.tables import Batch, BatchScore, Checkpoint, Sample, utc_now

Check = Callable[[], None]


def look_at(
    store: Store, batch_id: str, champion: Checkpoint, weights: Path, *, device: str, check: Check
) -> None:
    """Keep what the champion sees in each image of a batch, and how that differs from what was drawn.

    Gaps are filled too, if the batch was posted with that wish.

    Args:
        store: Where the batch is.
        batch_id: A batch that was taken in.
        champion: What was live then.
        weights: Its weights, verified.
        device: As `resolve_device` returned it.
        check: Called before what is seen in an image is kept; may raise to stop.
    """
    seen, unseen = _samples(store, batch_id, champion)
    for sample in seen:
        check()
        with store.database.write() as session:
            _compare(session, sample.id)
    for image, found in _detected(store, unseen, champion, weights, device):
        check()
        with store.database.write() as session:
            predictions.keep(store, session, champion.id, image.sha256, found)
            for sample in unseen[image.sha256]:
                _compare(session, sample.id)


def score_batch(
    store: Store, batch_id: str, champion: Checkpoint, weights: Path, *, device: str, check: Check
) -> None:
    """Keep how the champion scores on what people drew in a batch; takes what `look_at` takes.

    No score is kept of images that it has learned from, of rejected samples, or of a batch without a box.
    What was scored before is not scored again.
    """
    drawn = batch_images.drawn_in(store, batch_id, but=batch_images.learned_by(store, champion))
    images = ImageSet(name="batch", images=tuple(drawn))
    if _is_scored(store, batch_id, champion, images.digest):
        return
    if not any(image.labels for image in drawn):
        with store.database.write() as session:
            session.execute(sa.delete(BatchScore).where(BatchScore.batch_id == batch_id))
        return
    from core.evaluation.predict import score

    scored = score(
        weights,
        images,
        image_size=_image_size(champion),
        device=device,
        work_folder=store.settings.runs_dir,
        on_batch=check,
    ).score
    with store.database.write() as session:
        session.merge(_row(batch_id, champion, scored))


def list_batch_scores(store: Store, limit: int = 100) -> list[BatchScoreView]:
    """How the champion of each time did on fresh feedback, newest batch first: quality over time."""
    query = (
        sa.select(Batch, BatchScore)
        .join(BatchScore, BatchScore.batch_id == Batch.id)
        .order_by(Batch.id.desc())
        .limit(limit)
    )
    with store.database.read() as session:
        return [_view(batch, scored) for batch, scored in session.execute(query)]


def _samples(
    store: Store, batch_id: str, champion: Checkpoint
) -> tuple[list[Sample], dict[str, list[Sample]]]:
    """The samples of a batch whose image the champion has seen, and the others by the sha256 of theirs."""
    passed = sa.select(Sample).where(Sample.batch_id == batch_id, Sample.status != "quarantined")
    with store.database.write() as session:
        batch = session.get_one(Batch, batch_id)
        # It may have been taken in before that was noted.
        batch.champion_id = batch.champion_id or champion.id
        known = predictions.known(session, champion.id, batch_id)
        samples = list(session.scalars(passed.order_by(Sample.position)))
    unseen = defaultdict(list)
    for sample in samples:
        if sample.blob_sha256 and sample.blob_sha256 not in known:
            unseen[sample.blob_sha256].append(sample)
    return [sample for sample in samples if sample.blob_sha256 in known], unseen


def _detected(
    store: Store, unseen: Mapping[str, list[Sample]], champion: Checkpoint, weights: Path, device: str
) -> Iterator[tuple[LabelledImage, list[PredictedDetection]]]:
    images = batch_images.without_labels(store, [samples[0] for samples in unseen.values()])
    if images:
        from core.evaluation.predict import detect

        yield from detect(
            weights,
            images,
            image_size=_image_size(champion),
            device=device,
            confidence=LOWEST_CONFIDENCE,
        )


def _compare(session: Session, sample_id: str) -> None:
    sample = session.get_one(Sample, sample_id, with_for_update=True)
    disagreement.refresh(session, sample)
    gaps.fill_if_asked(session, sample)
    chores.got_on(session, sample.batch_id)


def _image_size(champion: Checkpoint) -> int:
    """What it was taught with; the default for a baseline, of which nobody knows."""
    recipe = champion.manifest.get("recipe") or {}
    return int(recipe.get("image_size", DEFAULT_IMAGE_SIZE))


def _is_scored(store: Store, batch_id: str, champion: Checkpoint, set_digest: str) -> bool:
    with store.database.read() as session:
        row = session.get(BatchScore, batch_id)
    return row is not None and (row.checkpoint_id, row.set_digest) == (champion.id, set_digest)


def _row(batch_id: str, champion: Checkpoint, scored: Score) -> BatchScore:
    return BatchScore(
        batch_id=batch_id,
        checkpoint_id=champion.id,
        set_digest=scored.set_digest,
        image_count=scored.image_count,
        metrics=scored.metrics,
        per_class=scored.rows(),
        created_at=utc_now(),
    )


def _view(batch: Batch, scored: BatchScore) -> BatchScoreView:
    return BatchScoreView(
        batch_id=batch.id,
        created_at=batch.created_at.isoformat(),
        source=batch.source,
        checkpoint_id=scored.checkpoint_id,
        image_count=scored.image_count,
        set_digest=scored.set_digest,
        metrics=scored.metrics,
        per_class=scored.per_class,
        scored_at=scored.created_at.isoformat(),
    )
