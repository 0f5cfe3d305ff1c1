"""Approved samples: what may be learned from and judged on, each with the newest version of its boxes."""

from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.feedback.boxes import StoredDetection
from core.store import Store
from core.store.tables import Correction, Sample


@dataclass(frozen=True)
class ApprovedSample:
    """A sample that may be learned from or judged on, with the newest version of its boxes."""

    id: str
    batch_id: str
    position: int
    blob_sha256: str
    width_px: int
    height_px: int
    version: int
    detections: tuple[StoredDetection, ...]
    group: str | None
    cluster: str | None
    is_holdout: bool


def approved_samples(store: Store, batch_id: str) -> list[ApprovedSample]:
    """The approved samples of a batch, holdout included, in the order they were posted."""
    with store.database.read() as session:
        return find(session, Sample.batch_id == batch_id)


def find(session: Session, *which: sa.ColumnElement[bool]) -> list[ApprovedSample]:
    """Approved samples that meet all conditions on `Sample` and `Correction`, in the order of posting."""
    query = select(Sample, Correction).where(*which).order_by(Sample.batch_id, Sample.position)
    return [_approved(sample, correction) for sample, correction in session.execute(query)]


def select(*what: Any) -> sa.Select[Any]:
    """A query over the approved samples, joined with the newest version of the boxes of each."""
    versions = sa.select(sa.func.max(Correction.version)).where(Correction.sample_id == Sample.id)
    is_newest = Correction.version == versions.correlate(Sample).scalar_subquery()
    joined = sa.select(*what).select_from(Sample).join(Correction, Correction.sample_id == Sample.id)
    return joined.where(Sample.status == "approved", is_newest)


def _approved(sample: Sample, correction: Correction) -> ApprovedSample:
    # The columns are empty only until a sample is taken in, and approval comes later.
    return ApprovedSample(
        id=sample.id,
        batch_id=sample.batch_id,
        position=sample.position,
        blob_sha256=cast(str, sample.blob_sha256),
        width_px=cast(int, sample.width_px),
        height_px=cast(int, sample.height_px),
        version=correction.version,
        detections=tuple(correction.detections),
        group=sample.group,
        cluster=sample.cluster,
        is_holdout=sample.is_holdout,
    )
