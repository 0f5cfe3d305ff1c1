"""Feedback: batches, samples, what people said of them, and what the live model sees in them."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, validates

from core.store.tables.base import Base, one_of, utc_now

SAMPLE_STATUSES = ("pending", "approved", "rejected", "quarantined")
VERDICT_DECISIONS = ("approved", "rejected", "reopened")
REPAIR_KINDS = ("retry", "clip", "map_class", "accept")
HAS_CHORE = "taken_in_at IS NULL OR predicted_at IS NULL OR predicted_at < taken_in_at"
"""Of a batch: it is to be taken in, or the champion is to look at it, maybe once more."""
# What samples are listed by, beside the order: in the index, so that no row is read that is not shown.
_LISTED_BY = ("batch_id", "is_holdout", "has_warnings", "group", "client_sample_id_lower")


class Batch(Base):
    """What one POST, one call or one upload brought in.

    Samples of a trusted batch that pass intake are approved by themselves. `champion_id` was live when the
    batch was taken in: it has not learned from it. `class_map` is how an import's class names were mapped.
    `fills_gaps` lets the champion add boxes that nobody drew. What the batch waits for although no run does
    it is a chore: `chore_attempts` counts those that came to nothing, `chore_due_at` is when the next one may
    be made, `chore_error` is what the last one ended with.
    """

    __tablename__ = "batch"
    __table_args__ = (
        Index("batch_with_chore", "id", sqlite_where=sa.text(HAS_CHORE), postgresql_where=sa.text(HAS_CHORE)),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    actor: Mapped[str]
    note: Mapped[str | None] = mapped_column(Text)
    is_trusted: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    fills_gaps: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    class_map: Mapped[dict[str, Any] | None]
    champion_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    taken_in_at: Mapped[datetime | None]
    predicted_at: Mapped[datetime | None]
    chore_attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    chore_due_at: Mapped[datetime | None]
    chore_error: Mapped[str | None] = mapped_column(Text)


class Sample(Base):
    """One image of a batch; `quarantined` ones carry the reason and the repair.

    `revision` counts changes: whoever changes a sample names the revision that he saw. `intake_number` is the
    order in which samples were taken in, over all batches; those in quarantine have none. `cluster` is the
    `pixel_sha256` of the first of the samples that look nearly alike. `warnings` lists findings that did not
    put the sample aside, as code and detail; `window` tells how 16-bit values became 8-bit ones.
    `disagreement` is the newest score, for sorting. `has_warnings` and `client_sample_id_lower` are what is
    listed by; they follow the columns they come from.
    """

    __tablename__ = "sample"
    __table_args__ = (
        UniqueConstraint("batch_id", "position"),
        one_of("status", SAMPLE_STATUSES),
        Index("sample_by_age", "id", "status", *_LISTED_BY),
        Index("sample_by_status", "status", "id", *_LISTED_BY),
        Index("sample_by_disagreement", "disagreement", "id", "status", *_LISTED_BY),
        Index("sample_by_status_and_disagreement", "status", "disagreement", "id", *_LISTED_BY),
        Index("sample_by_content", "blob_sha256"),
        Index("sample_by_group", "group"),
        Index("sample_by_cluster", "cluster"),
        Index("sample_by_pixels", "pixel_sha256"),
        Index("sample_by_batch", "batch_id", "id"),
        Index("uq_sample_intake_number", "intake_number", unique=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.id"))
    position: Mapped[int]
    image_url: Mapped[str] = mapped_column(Text)
    client_sample_id: Mapped[str | None]
    # Small letters may be more characters than the capitals were.
    client_sample_id_lower: Mapped[str | None] = mapped_column(Text)
    group: Mapped[str | None]
    posted: Mapped[list[Any]]
    status: Mapped[str]
    is_holdout: Mapped[bool] = mapped_column(default=False)
    reason_code: Mapped[str | None]
    reason_detail: Mapped[str | None] = mapped_column(Text)
    reason_repair: Mapped[str | None] = mapped_column(Text)
    source_sha256: Mapped[str | None]
    blob_sha256: Mapped[str | None]
    width_px: Mapped[int | None]
    height_px: Mapped[int | None]
    pixel_sha256: Mapped[str | None]
    perceptual_hash: Mapped[str | None]
    cluster: Mapped[str | None]
    intake_number: Mapped[int | None]
    thumbnail_sha256: Mapped[str | None]
    window: Mapped[dict[str, Any] | None]
    warnings: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    has_warnings: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    conflicts_with_id: Mapped[str | None]
    disagreement: Mapped[float | None]
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    @validates("client_sample_id", "warnings")
    def _follow(self, column: str, value: Any) -> Any:
        if column == "warnings":
            self.has_warnings = bool(value)
        else:
            self.client_sample_id_lower = value and value.lower()
        return value


class Correction(Base):
    """A version of a sample's boxes: `[{"xyxy": [...], "class_id": n}]` in pixels of the upright image.

    Version 1 is what was posted, after it was checked against the image. A box that the champion added has
    `"origin": "champion"` and its confidence. `undoes` is the version that this one takes back, if it does.
    `revision` is the sample's that it made.
    """

    __tablename__ = "correction"
    __table_args__ = (UniqueConstraint("sample_id", "version"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    sample_id: Mapped[str] = mapped_column(ForeignKey("sample.id"))
    version: Mapped[int]
    detections: Mapped[list[Any]]
    author: Mapped[str]
    undoes: Mapped[int | None]
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SampleVerdict(Base):
    """Approve, reject, or open again, by whom and when.

    `revision` is the sample's that it made, 0 if intake gave it without a look at the image. `undoes` is the
    id of the verdict that this one takes back, if it does.
    """

    __tablename__ = "sample_verdict"
    __table_args__ = (one_of("decision", VERDICT_DECISIONS),)

    id: Mapped[str] = mapped_column(primary_key=True)
    sample_id: Mapped[str] = mapped_column(ForeignKey("sample.id"), index=True)
    decision: Mapped[str]
    actor: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    undoes: Mapped[str | None]
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SampleClass(Base):
    """A class that the newest boxes of a sample have, so that samples can be listed by class."""

    __tablename__ = "sample_class"
    __table_args__ = (Index("sample_class_by_sample", "sample_id", "class_id"),)

    class_id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[str] = mapped_column(ForeignKey("sample.id"), primary_key=True)


class QuarantineRepair(Base):
    """What somebody did so that a sample in quarantine can be used; it goes through intake again with it."""

    __tablename__ = "quarantine_repair"
    __table_args__ = (one_of("kind", REPAIR_KINDS),)

    id: Mapped[str] = mapped_column(primary_key=True)
    sample_id: Mapped[str] = mapped_column(ForeignKey("sample.id"), index=True)
    kind: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    actor: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Upload(Base):
    """An image file that a caller without a web host has handed in; `blob:<sha256>` is its address."""

    __tablename__ = "upload"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    actor: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Fingerprint(Base):
    """What a file of the base set looks like, so that it is decoded for that only once."""

    __tablename__ = "fingerprint"

    source_sha256: Mapped[str] = mapped_column(primary_key=True)
    pixel_sha256: Mapped[str]
    perceptual_hash: Mapped[str]


class Prediction(Base):
    """What a checkpoint sees in an image: `[{"xyxy": [...], "class_id": n, "confidence": c}]`, in pixels."""

    __tablename__ = "prediction"

    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"), primary_key=True)
    blob_sha256: Mapped[str] = mapped_column(primary_key=True)
    detections: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Disagreement(Base):
    """How a sample's newest boxes differ from what a checkpoint sees in it."""

    __tablename__ = "disagreement"

    sample_id: Mapped[str] = mapped_column(ForeignKey("sample.id"), primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"), primary_key=True)
    score: Mapped[float]
    differences: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class BatchScore(Base):
    """What the model that was live scored on a batch before it learned from it: quality over time."""

    __tablename__ = "batch_score"

    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.id"), primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"))
    set_digest: Mapped[str]
    image_count: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    per_class: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
