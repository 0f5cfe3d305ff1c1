"""What runs learned from, what came of it, how it was judged, and what was live when."""

from datetime import datetime
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.schemas import SampleRole
from core.store.tables.base import Base, one_of, utc_now

LEDGER_ACTIONS = ("promote", "rollback")


class DatasetRevision(Base):
    """An immutable manifest of what a run learns from and is judged on, named by its digest."""

    __tablename__ = "dataset_revision"

    digest: Mapped[str] = mapped_column(primary_key=True)
    manifest: Mapped[dict[str, Any]]
    # The whole revision in the blob store, from which another host writes the files again.
    content_sha256: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class RevisionSample(Base):
    """A feedback sample in a dataset revision, with the version of its boxes, and what it is there for.

    `first_epoch` is the first that sees it, from 1; replay that no epoch draws has no row, and the holdout is
    seen by none.
    """

    __tablename__ = "revision_sample"
    __table_args__ = (one_of("role", get_args(SampleRole)),)

    dataset_digest: Mapped[str] = mapped_column(ForeignKey("dataset_revision.digest"), primary_key=True)
    sample_id: Mapped[str] = mapped_column(ForeignKey("sample.id"), primary_key=True, index=True)
    correction_version: Mapped[int]
    role: Mapped[str]
    first_epoch: Mapped[int | None]


class Checkpoint(Base):
    """Weights with their manifest; the file is `finetune_weight/<id>/weights.pt`.

    `epochs` of the dataset revision's plan went into them: training may end earlier, or its best epoch may
    not be the last. It is unknown of a baseline, and of checkpoints from before it was kept.
    """

    __tablename__ = "checkpoint"

    id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(index=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoint.id"))
    run_id: Mapped[str | None]
    dataset_digest: Mapped[str | None] = mapped_column(index=True)
    epochs: Mapped[int | None]
    class_names: Mapped[list[Any]]
    manifest: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Evaluation(Base):
    """A checkpoint scored on a frozen set; figures with different digests are never compared.

    `metrics` and `per_class` are Ultralytics' figures, `figures` are ours. The blob `detections_sha256` holds
    the raw detections behind both. `run_id` is the run that asked for it, if one did.
    """

    __tablename__ = "evaluation"
    __table_args__ = (Index("evaluation_of_checkpoint", "checkpoint_id", "set_digest", "image_size"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("run.id"), index=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"))
    set_name: Mapped[str]
    set_digest: Mapped[str]
    image_count: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    per_class: Mapped[list[Any]]
    image_size: Mapped[int] = mapped_column(default=0, server_default="0")
    figures: Mapped[dict[str, Any] | None]
    detections_sha256: Mapped[str | None] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class LedgerEntry(Base):
    """A promotion or a rollback: the newest row names the champion.

    `verdict` is what the gate had said of the checkpoint; `is_override` that somebody published it all the
    same.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (one_of("action", LEDGER_ACTIONS),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    action: Mapped[str]
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"))
    previous_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoint.id"))
    run_id: Mapped[str | None]
    actor: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str | None]
    is_override: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
