"""Versions of a sample's boxes: only ever added, each with its author."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.feedback.boxes import StoredDetection
from core.store.ids import new_id
from core.store.tables import Correction, Sample, SampleClass


def add(
    session: Session,
    sample: Sample,
    detections: Sequence[StoredDetection],
    author: str,
    *,
    undoes: int | None = None,
) -> Correction:
    """Add the next version of a sample's boxes, in the caller's transaction, which has locked the sample.

    Args:
        session: Of that transaction.
        sample: Its `revision` is raised.
        detections: Checked boxes, `xyxy` in pixels of the upright image.
        author: Who drew them.
        undoes: The version that this one takes back, if it does.
    """
    newest = newest_of(session, sample.id)
    if newest is not None:
        session.execute(sa.delete(SampleClass).where(SampleClass.sample_id == sample.id))
    correction = _add(session, sample, detections, author, newest.version + 1 if newest else 1, undoes)
    session.flush()
    return correction


def add_first(
    session: Session, sample: Sample, detections: Sequence[StoredDetection], author: str
) -> Correction:
    """Add the boxes that a sample is taken in with; as `add`, but without asking the database for others."""
    return _add(session, sample, detections, author, 1)


def _add(
    session: Session,
    sample: Sample,
    detections: Sequence[StoredDetection],
    author: str,
    version: int,
    undoes: int | None = None,
) -> Correction:
    sample.revision += 1
    correction = Correction(
        id=new_id("correction"),
        sample_id=sample.id,
        version=version,
        detections=list(detections),
        author=author,
        undoes=undoes,
        revision=sample.revision,
    )
    session.add(correction)
    class_ids = sorted({detection["class_id"] for detection in detections})
    session.add_all(SampleClass(class_id=class_id, sample_id=sample.id) for class_id in class_ids)
    return correction


def newest_of(session: Session, sample_id: str) -> Correction | None:
    """The newest version of a sample's boxes; none until it is taken in."""
    versions = sa.select(Correction).where(Correction.sample_id == sample_id)
    return session.scalar(versions.order_by(Correction.version.desc()).limit(1))
