"""The images of a batch, for the champion to look at before it learns from them."""

import logging
from collections.abc import Collection, Iterable, Iterator
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.dataset.feedback_set import WENT_IN, labels_of
from core.dataset.images import LabelledImage
from core.errors import BlobDamaged
from core.feedback.boxes import StoredDetection, is_drawn
from core.store import Store
from core.store.tables import Checkpoint, Correction, RevisionSample, Sample

log = logging.getLogger(__name__)


def without_labels(store: Store, samples: Iterable[Sample]) -> list[LabelledImage]:
    """The images of samples that passed intake, to be looked at without a hint."""
    return list(_intact_images(store, [(sample, ()) for sample in samples]))


def drawn_in(store: Store, batch_id: str, *, but: Collection[str]) -> list[LabelledImage]:
    """The images of a batch with what people drew in them, as far as they were not rejected.

    Args:
        store: Where the batch is.
        batch_id: The batch.
        but: sha256 of images that are left out.
    """
    newest = sa.select(sa.func.max(Correction.version)).where(Correction.sample_id == Sample.id)
    query = (
        sa.select(Sample, Correction.detections)
        .join(Correction, Correction.sample_id == Sample.id)
        .where(Sample.batch_id == batch_id, Sample.status.in_(("pending", "approved")))
        .where(Correction.version == newest.correlate(Sample).scalar_subquery())
        .order_by(Sample.position)
    )
    with store.database.read() as session:
        found = [(sample, boxes) for sample, boxes in session.execute(query) if sample.blob_sha256 not in but]
    return list(_intact_images(store, [(sample, tuple(filter(is_drawn, boxes))) for sample, boxes in found]))


def learned_by(store: Store, checkpoint: Checkpoint) -> frozenset[str]:
    """sha256 of the feedback images that a checkpoint has learned from, or one that it descends from."""
    with store.database.read() as session:
        line = [ancestor.id for ancestor in _line_of(session, checkpoint)]
        query = (
            sa.select(Sample.blob_sha256)
            .join(RevisionSample, RevisionSample.sample_id == Sample.id)
            .join(Checkpoint, Checkpoint.dataset_digest == RevisionSample.dataset_digest)
            .where(Checkpoint.id.in_(line), WENT_IN)
        )
        return frozenset(sha256 for sha256 in session.scalars(query) if sha256)


def _line_of(session: Session, checkpoint: Checkpoint | None) -> Iterator[Checkpoint]:
    while checkpoint is not None:
        yield checkpoint
        checkpoint = session.get(Checkpoint, checkpoint.parent_id) if checkpoint.parent_id else None


def _intact_images(
    store: Store, samples: Iterable[tuple[Sample, tuple[StoredDetection, ...]]]
) -> Iterator[LabelledImage]:
    """Those whose bytes are what was stored; one damaged image does not cost the others theirs."""
    for sample, boxes in samples:
        size_px = cast(int, sample.width_px), cast(int, sample.height_px)
        try:
            path = store.blobs.local_path(sample.blob_sha256 or "")
        except BlobDamaged as error:
            log.warning("Sample %s is left out. %s", sample.id, error.detail)
            continue
        yield LabelledImage(
            path=path,
            sha256=sample.blob_sha256 or "",
            width_px=size_px[0],
            height_px=size_px[1],
            labels=labels_of(boxes, *size_px),
        )
