"""The tables: what is remembered, one class each.

Rows of `correction`, `sample_verdict`, `run_event`, `evaluation` and `ledger_entry` are only ever added.
"""

from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from core.schemas import RunStatus

SAMPLE_STATUSES = ("pending", "approved", "rejected", "quarantined")
LEDGER_ACTIONS = ("promote", "rollback")


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on every database; SQLite keeps no zone by itself."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC before it is written."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware again after it was read."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Base(DeclarativeBase):
    """Parent of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: String(200),
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
    }


class Batch(Base):
    """What one POST, one call or one upload brought in."""

    __tablename__ = "batch"

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    actor: Mapped[str]
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Sample(Base):
    """One image of a batch; `quarantined` ones carry the reason and the repair."""

    __tablename__ = "sample"
    __table_args__ = (
        UniqueConstraint("batch_id", "position"),
        _one_of("status", SAMPLE_STATUSES),
        Index("sample_by_status", "status", "id"),
        Index("sample_by_content", "blob_sha256"),
        Index("sample_by_group", "group"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.id"))
    position: Mapped[int]
    image_url: Mapped[str] = mapped_column(Text)
    client_sample_id: Mapped[str | None]
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
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Correction(Base):
    """A version of a sample's boxes: `[{"xyxy": [...], "class_id": n}]` in pixels of the upright image.

    Version 1 is what was posted, after it was checked against the image.
    """

    __tablename__ = "correction"
    __table_args__ = (UniqueConstraint("sample_id", "version"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    sample_id: Mapped[str] = mapped_column(ForeignKey("sample.id"))
    version: Mapped[int]
    detections: Mapped[list[Any]]
    author: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SampleVerdict(Base):
    """Approve or reject, by whom and when."""

    __tablename__ = "sample_verdict"
    __table_args__ = (_one_of("decision", ("approved", "rejected")),)

    id: Mapped[str] = mapped_column(primary_key=True)
    sample_id: Mapped[str] = mapped_column(ForeignKey("sample.id"), index=True)
    decision: Mapped[str]
    actor: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetRevision(Base):
    """An immutable manifest of what a run learns from and is judged on, named by its digest."""

    __tablename__ = "dataset_revision"

    digest: Mapped[str] = mapped_column(primary_key=True)
    manifest: Mapped[dict[str, Any]]
    # The whole revision in the blob store, from which another host writes the files again.
    content_sha256: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class RunTransition(Base):
    """A step that a run's state may take; a trigger refuses every other."""

    __tablename__ = "run_transition"

    from_status: Mapped[str] = mapped_column(primary_key=True)
    to_status: Mapped[str] = mapped_column(primary_key=True)


class Run(Base):
    """One fine-tune, from the queue to its outcome.

    Whoever works on it is its owner and has raised `fence`; a write under an older fence is refused. `beats`
    counts the owner's signs of life. `resume_sha256` names the blob that holds the state after
    `resume_epoch` epochs; `setbacks` counts the owners lost since the run last got on.
    """

    __tablename__ = "run"
    __table_args__ = (_one_of("status", get_args(RunStatus)), Index("run_by_status", "status", "id"))

    id: Mapped[str] = mapped_column(primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.id"))
    status: Mapped[str] = mapped_column(default="queued")
    request: Mapped[dict[str, Any]]
    dataset_digest: Mapped[str | None] = mapped_column(ForeignKey("dataset_revision.digest"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoint.id"))
    checkpoint_id: Mapped[str | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    owner_id: Mapped[str | None]
    beats: Mapped[int] = mapped_column(default=0, server_default="0")
    heartbeat_at: Mapped[datetime | None]
    setbacks: Mapped[int] = mapped_column(default=0, server_default="0")
    wanted: Mapped[str | None]
    wanted_by: Mapped[str | None]
    resume_sha256: Mapped[str | None]
    resume_epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    continues_id: Mapped[str | None]
    summary: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """The run that a caller's key stands for, and the digest of the body it came with."""

    __tablename__ = "idempotency_key"

    key: Mapped[str] = mapped_column(primary_key=True)
    body_digest: Mapped[str]
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class RunEvent(Base):
    """One step of a run's progress, numbered from 1, and the fence of the owner that wrote it."""

    __tablename__ = "run_event"

    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Checkpoint(Base):
    """Weights with their manifest; the file is `finetune_weight/<id>/weights.pt`."""

    __tablename__ = "checkpoint"

    id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(index=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoint.id"))
    run_id: Mapped[str | None]
    dataset_digest: Mapped[str | None]
    class_names: Mapped[list[Any]]
    manifest: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Evaluation(Base):
    """A checkpoint scored on a frozen set; figures with different digests are never compared."""

    __tablename__ = "evaluation"

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"), index=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"))
    set_name: Mapped[str]
    set_digest: Mapped[str]
    image_count: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    per_class: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class LedgerEntry(Base):
    """A promotion or a rollback: the newest row names the champion."""

    __tablename__ = "ledger_entry"
    __table_args__ = (_one_of("action", LEDGER_ACTIONS),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    action: Mapped[str]
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"))
    previous_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoint.id"))
    run_id: Mapped[str | None]
    actor: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Worker(Base):
    """A worker process and when it was last heard of."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(default=utc_now)
    heartbeat_at: Mapped[datetime] = mapped_column(default=utc_now)


class ApiKey(Base):
    """A caller's key: only its sha256 is kept."""

    __tablename__ = "api_key"
    __table_args__ = (_one_of("scope", ("feed", "operate", "admin")),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    scope: Mapped[str]
    key_sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    revoked_at: Mapped[datetime | None]
