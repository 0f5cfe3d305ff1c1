"""Runs: their states, their owners, their progress, and the workers that take them to their end."""

from datetime import datetime
from typing import Any, get_args

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.schemas import RunStatus
from core.store.tables.base import Base, one_of, utc_now


class RunTransition(Base):
    """A step that a run's state may take; a trigger refuses every other."""

    __tablename__ = "run_transition"

    from_status: Mapped[str] = mapped_column(primary_key=True)
    to_status: Mapped[str] = mapped_column(primary_key=True)


class Run(Base):
    """One fine-tune, from the queue to its outcome.

    Whoever works on it is its owner and has raised `fence`; a write under an older fence is refused. `beats`
    counts the owner's signs of life. `resume_sha256` names the blob that holds the state after
    `resume_epoch` epochs; `setbacks` counts the owners lost since the run last got on. `learns_from` is the
    `batch`, or everything that is `approved` and that no champion has learned from; `batch_id` is then the
    newest batch of that. `source`, `actor` and `note` tell who asked for it; `image_count` is what it was
    handed in with.
    """

    __tablename__ = "run"
    __table_args__ = (
        one_of("status", get_args(RunStatus)),
        Index("run_by_status", "status", "id"),
        Index("run_by_batch", "batch_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.id"))
    learns_from: Mapped[str] = mapped_column(default="batch", server_default="batch")
    source: Mapped[str]
    actor: Mapped[str]
    note: Mapped[str | None] = mapped_column(Text)
    image_count: Mapped[int]
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
    """The run or the batch that a caller's key stands for, and the digest of the body it came with."""

    __tablename__ = "idempotency_key"
    __table_args__ = (CheckConstraint("(run_id IS NULL) <> (batch_id IS NULL)", name="stands_for_one"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    body_digest: Mapped[str]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("run.id"))
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batch.id"))
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


class Worker(Base):
    """A worker process, when it was last heard of, and the room that its host had then.

    `room`: `memory_free_bytes`, `memory_total_bytes`, `disk_free_bytes`, `disk_total_bytes`.
    """

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(default=utc_now)
    heartbeat_at: Mapped[datetime] = mapped_column(default=utc_now)
    room: Mapped[dict[str, Any] | None]
