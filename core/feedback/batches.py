"""Batches as they are shown: what became of their samples so far."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.feedback.intake import quarantined
from core.schemas import QuarantinedImage
from core.store import Store
from core.store.tables import SAMPLE_STATUSES, Batch, Sample


class _Alike(NamedTuple):
    """How many samples of a batch are alike in this."""

    status: str
    reason_code: str | None
    lacks_image: bool
    number: int


class BatchView(BaseModel):
    """A feedback batch and how many of its samples stand where."""

    id: str
    source: str
    actor: str
    note: str | None
    is_trusted: bool = Field(description="Whether samples that pass intake are approved without a look.")
    created_at: str
    taken_in_at: str | None = Field(description="When the last of its images was fetched and checked.")
    samples: int = Field(description="Images that were posted.")
    waiting: int = Field(description="Images that are still to be fetched and checked.")
    statuses: dict[str, int] = Field(description="Samples by status; those that wait are pending.")
    reasons: dict[str, int] = Field(description="Samples in quarantine by reason code.")


class BatchDetail(BatchView):
    """A feedback batch with each image that was put aside."""

    quarantined: list[QuarantinedImage]


def get_batch(store: Store, batch_id: str) -> BatchDetail:
    """One batch.

    Raises:
        NotFound: If there is no such batch.
    """
    with store.database.read() as session:
        batch = session.get(Batch, batch_id)
        if batch is None:
            raise NotFound(f"There is no feedback batch {batch_id}. GET /api/batches lists all of them.")
        (view,) = _views(session, [batch])
    return BatchDetail(**view.model_dump(), quarantined=quarantined(store, batch_id))


def list_batches(store: Store, *, limit: int = 50, before: str | None = None) -> list[BatchView]:
    """Batches, newest first.

    Args:
        store: Where they are kept.
        limit: At most this many.
        before: Only batches made before the one with this id, for paging.
    """
    query = sa.select(Batch).order_by(Batch.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Batch.id < before)
    with store.database.read() as session:
        return _views(session, list(session.scalars(query)))


def _views(session: Session, batches: Sequence[Batch]) -> list[BatchView]:
    alike = (Sample.batch_id, Sample.status, Sample.reason_code, Sample.blob_sha256.is_(None))
    query = sa.select(*alike, sa.func.count()).where(Sample.batch_id.in_([batch.id for batch in batches]))
    counts: dict[str, list[_Alike]] = defaultdict(list)
    for batch_id, status, reason_code, lacks_image, number in session.execute(query.group_by(*alike)):
        counts[batch_id].append(_Alike(status, reason_code, bool(lacks_image), number))
    return [_view(batch, counts[batch.id]) for batch in batches]


def _view(batch: Batch, counts: Sequence[_Alike]) -> BatchView:
    statuses, reasons = Counter(dict.fromkeys(SAMPLE_STATUSES, 0)), Counter[str]()
    for alike in counts:
        statuses[alike.status] += alike.number
        if alike.status == "quarantined" and alike.reason_code:
            reasons[alike.reason_code] += alike.number
    return BatchView(
        id=batch.id,
        source=batch.source,
        actor=batch.actor,
        note=batch.note,
        is_trusted=batch.is_trusted,
        created_at=batch.created_at.isoformat(),
        taken_in_at=batch.taken_in_at.isoformat() if batch.taken_in_at else None,
        samples=statuses.total(),
        waiting=sum(alike.number for alike in counts if alike.status == "pending" and alike.lacks_image),
        statuses=dict(statuses),
        reasons=dict(reasons),
    )
