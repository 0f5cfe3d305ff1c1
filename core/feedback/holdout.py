"""Which feedback is kept for judging, for good."""

import hashlib

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.store.tables import Sample

# With fewer, every sample is worth more in training than in judging.
HOLDOUT_STARTS_AT = 50


def is_holdout(group_key: str, share: float) -> bool:
    """Whether a group is kept for judging: by its name alone, so the same in every run and on every host.

    Args:
        group_key: Transformer or inspection id, else what stands for it.
        share: Share of all groups that are kept, from 0 to 1.
    """
    return int.from_bytes(hashlib.sha256(group_key.encode()).digest()[:8], "big") < share * 2**64


def has_begun(session: Session, batch_id: str) -> bool:
    """Whether the batches made before this one hold enough approved samples.

    Those of the batch itself do not count, so that the order in which its images arrive changes nothing.
    """
    older = sa.select(Sample.id).where(Sample.status == "approved", Sample.batch_id < batch_id)
    return session.scalar(older.offset(HOLDOUT_STARTS_AT - 1).limit(1)) is not None


def decide(session: Session, sample: Sample, share: float) -> bool:
    """Whether a sample that was just taken in is kept for judging.

    An image that came before stays on its side, and so does its group: what was learned from cannot judge.

    Args:
        session: Of the transaction that takes the sample in.
        sample: With `group` and `blob_sha256` set.
        share: As in `is_holdout`.
    """
    alike = [Sample.blob_sha256 == sample.blob_sha256]
    if sample.group:
        alike.append(Sample.group == sample.group)
    for is_alike in alike:
        precedent = session.scalar(_precedent(sample, is_alike))
        if precedent is not None:
            return precedent
    key = sample.group or sample.blob_sha256 or ""
    return is_holdout(key, share) and has_begun(session, sample.batch_id)


def _precedent(sample: Sample, is_alike: sa.ColumnElement[bool]) -> sa.Select[bool]:
    return (
        sa.select(Sample.is_holdout)
        .where(is_alike, Sample.blob_sha256.is_not(None))
        .where(Sample.id != sample.id, Sample.status != "quarantined")
        .order_by(Sample.id)
        .limit(1)
    )
