"""Which feedback is kept for judging, for good."""

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.feedback.lookalikes import Lookalike
from core.feedback.reasons import Refusal
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


def decide(
    session: Session, sample: Sample, near: Sequence[Lookalike], share: float, *, has_begun: bool
) -> bool:
    """Whether a sample that is being taken in is kept for judging.

    A group and what looks nearly alike stay on their side: what was learned from cannot judge.

    Args:
        session: Of the transaction that takes the sample in.
        sample: With `group` and `cluster` set.
        near: Samples that look nearly the same.
        share: As in `is_holdout`.
        has_begun: What the function of this name says of the sample's batch.

    Raises:
        Refusal: `leak_validation`, if it belongs to both sides.
    """
    sides = {one.is_holdout for one in near}
    if sample.group and (side := session.scalar(_side_of_group(sample))) is not None:
        sides.add(side)
    if len(sides) > 1:
        raise Refusal(
            "leak_validation",
            "Its group and what looks like it are partly learned from, partly judged on: it can be neither.",
        )
    if sides:
        return sides.pop()
    key = sample.group or sample.cluster or ""
    return has_begun and is_holdout(key, share)


def _side_of_group(sample: Sample) -> sa.Select[bool]:
    return (
        sa.select(Sample.is_holdout)
        .where(Sample.group == sample.group, Sample.intake_number.is_not(None), Sample.id != sample.id)
        .order_by(Sample.intake_number)
        .limit(1)
    )
