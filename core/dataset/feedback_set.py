"""Feedback samples as labelled images: a batch's own, those champions learned from, the holdout."""

from collections.abc import Iterable

import sqlalchemy as sa

from core.dataset.images import Label, LabelledImage
from core.feedback.intake import ApprovedSample, approved_samples
from core.store import Store
from core.store.tables import LedgerEntry, Run, Sample


def labelled(store: Store, samples: Iterable[ApprovedSample]) -> list[LabelledImage]:
    """The samples as labelled images, read from the image store."""
    return [_labelled(store, sample) for sample in samples]


def _labelled(store: Store, sample: ApprovedSample) -> LabelledImage:
    size_px = sample.width_px, sample.height_px
    return LabelledImage(
        path=store.blobs.local_path(sample.blob_sha256),
        sha256=sample.blob_sha256,
        width_px=sample.width_px,
        height_px=sample.height_px,
        labels=tuple(Label.from_xyxy(box["class_id"], box["xyxy"], *size_px) for box in sample.detections),
    )


def learned_by_champions(store: Store) -> list[LabelledImage]:
    """Feedback that was learned from by any checkpoint that ever was champion, holdout excluded."""
    promoted = sa.select(LedgerEntry.checkpoint_id)
    query = sa.select(Run.batch_id).where(Run.checkpoint_id.in_(promoted)).order_by(Run.id)
    return _of_batches(store, query, is_holdout=False)


def kept_for_judging(store: Store) -> list[LabelledImage]:
    """Every feedback sample of the holdout, of all batches so far."""
    query = sa.select(Sample.batch_id).where(Sample.is_holdout).distinct().order_by(Sample.batch_id)
    return _of_batches(store, query, is_holdout=True)


def _of_batches(store: Store, query: sa.Select[str], *, is_holdout: bool) -> list[LabelledImage]:
    with store.database.read() as session:
        batch_ids = list(session.scalars(query))
    samples = (sample for batch_id in batch_ids for sample in approved_samples(store, batch_id))
    # Posted twice, the newer boxes count.
    newest = {sample.blob_sha256: sample for sample in samples if sample.is_holdout is is_holdout}
    return labelled(store, newest.values())
