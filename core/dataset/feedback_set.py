"""Feedback as a run sees it: what is new to it, what it may replay, and what is kept for judging.

A sample counts with the newest version of its boxes, and only while it is approved. Of an image that was
posted more than once, the newest approved sample stands for all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from core.dataset.images import Label, LabelledImage, SampleVersion
from core.errors import NothingApproved
from core.feedback import approved
from core.feedback.approved import ApprovedSample
from core.feedback.boxes import StoredDetection, is_drawn
from core.store import Store
from core.store.tables import (
    Checkpoint,
    Correction,
    LedgerEntry,
    RevisionSample,
    Run,
    Sample,
    SampleVerdict,
    UtcDateTime,
)

WENT_IN = RevisionSample.first_epoch <= sa.func.coalesce(Checkpoint.epochs, RevisionSample.first_epoch)
"""Whether a checkpoint's weights learned from a sample of its dataset revision; never true of the holdout."""

_EVER_LIVE = Checkpoint.id.in_(sa.select(LedgerEntry.checkpoint_id))
_ANY = sa.true()
# Not by looking for newer samples of each: SQLite would go through all approved ones every time.
_newest_of_images = aliased(Sample)
_STANDS_FOR_ITS_IMAGE = Sample.id.in_(
    sa.select(sa.func.max(_newest_of_images.id))
    .where(_newest_of_images.status == "approved")
    .group_by(_newest_of_images.blob_sha256)
)


@dataclass(frozen=True)
class Waiting:
    """How many approved samples wait to be learned from, in which batch the newest is, and since when."""

    count: int
    newest_batch_id: str | None
    since: datetime | None


def new_to(session: Session, run: Run) -> list[ApprovedSample]:
    """What a run is to learn: its batch, or all that was approved and that no champion has learned from."""
    if run.learns_from == "batch":
        return approved.find(session, Sample.batch_id == run.batch_id, ~Sample.is_holdout)
    return not_learned(session)


def not_learned(session: Session) -> list[ApprovedSample]:
    """Approved samples with boxes that no champion has learned from, without the holdout."""
    return approved.find(
        session, ~Sample.is_holdout, _STANDS_FOR_ITS_IMAGE, ~_newest_boxes_learned(_EVER_LIVE)
    )


def learned(session: Session) -> list[ApprovedSample]:
    """Approved samples that any champion learned from, be it with older boxes: the pool's feedback."""
    return approved.find(session, ~Sample.is_holdout, _STANDS_FOR_ITS_IMAGE, _learned(_EVER_LIVE).exists())


def kept_for_judging(session: Session) -> list[ApprovedSample]:
    """The holdout of all batches so far."""
    return approved.find(session, Sample.is_holdout.is_(True), _STANDS_FOR_ITS_IMAGE)


def waiting(session: Session, *, for_any_checkpoint: bool = False) -> Waiting:
    """Count what `not_learned` lists, without reading it.

    Args:
        session: Of a transaction.
        for_any_checkpoint: Count only what no checkpoint has learned from, be it one that was never live.
    """
    by = _ANY if for_any_checkpoint else _EVER_LIVE
    since = sa.func.min(_ready_at(), type_=UtcDateTime())
    figures = approved.select(sa.func.count(), sa.func.max(Sample.batch_id), since)
    query = figures.where(~Sample.is_holdout, _STANDS_FOR_ITS_IMAGE, ~_newest_boxes_learned(by))
    return Waiting(*session.execute(query).one())


def nothing_approved(session: Session) -> NothingApproved:
    """The error for who wants to learn from all that was approved, when a champion has learned it all."""
    pending = session.scalar(sa.select(sa.func.count()).where(Sample.status == "pending")) or 0
    return NothingApproved(
        "Nothing was approved that a champion has not learned from yet. "
        f"Samples that wait for review: {pending}. Approve some of them, or post feedback first.",
        pending_samples=pending,
    )


def _ready_at() -> sa.ColumnElement[datetime]:
    """When a sample was approved, or its boxes were drawn, whichever came later."""
    verdicts = sa.select(sa.func.max(SampleVerdict.created_at)).where(SampleVerdict.decision == "approved")
    approved_at = verdicts.where(SampleVerdict.sample_id == Sample.id).scalar_subquery()
    drawn_at = Correction.created_at
    return sa.case((approved_at > drawn_at, approved_at), else_=drawn_at)


def _newest_boxes_learned(by: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return _learned(by).where(RevisionSample.correction_version >= Correction.version).exists()


def _learned(by: sa.ColumnElement[bool]) -> sa.Select[int]:
    return (
        sa.select(1)
        .select_from(RevisionSample)
        .join(Checkpoint, Checkpoint.dataset_digest == RevisionSample.dataset_digest)
        .where(RevisionSample.sample_id == Sample.id, WENT_IN, by)
    )


def labelled(store: Store, samples: Iterable[ApprovedSample]) -> list[LabelledImage]:
    """The samples as labelled images, read from the image store."""
    return [_labelled(sample, store.blobs.local_path(sample.blob_sha256)) for sample in samples]


def without_files(samples: Iterable[ApprovedSample]) -> list[LabelledImage]:
    """The samples as labelled images that no file belongs to: enough to count and to plan with."""
    return [_labelled(sample, Path()) for sample in samples]


def _labelled(sample: ApprovedSample, path: Path) -> LabelledImage:
    return LabelledImage(
        path=path,
        sha256=sample.blob_sha256,
        width_px=sample.width_px,
        height_px=sample.height_px,
        labels=labels_of(sample.detections, sample.width_px, sample.height_px),
        sample=SampleVersion(sample_id=sample.id, version=sample.version),
        group=sample.group or sample.cluster,
    )


def labels_of(detections: Iterable[StoredDetection], width_px: int, height_px: int) -> tuple[Label, ...]:
    """Detections on an image of this size as labels."""
    return tuple(
        Label.from_xyxy(box["class_id"], box["xyxy"], width_px, height_px, is_filled=not is_drawn(box))
        for box in detections
    )
