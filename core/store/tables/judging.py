"""What judges: frozen sets and their images, comparisons on them, and images pinned to replay."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.store.tables.base import Base, utc_now


class EvaluationSet(Base):
    """A frozen set of labelled images, named by its digest; the blob holds its images and boxes."""

    __tablename__ = "evaluation_set"

    digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    image_count: Mapped[int]
    content_sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class JudgedImage(Base):
    """An image that has been in a set that judges, or chooses: it is never learned from, for good."""

    __tablename__ = "judged_image"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    set_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Comparison(Base):
    """Two checkpoints on one set: every figure's change with its interval.

    `run_id` is the run that asked for it, if one did. The blob `images_sha256` holds the changes image by
    image.
    """

    __tablename__ = "comparison"
    __table_args__ = (Index("comparison_of_pair", "baseline_id", "candidate_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("run.id"), index=True)
    baseline_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"))
    candidate_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"))
    set_name: Mapped[str]
    set_digest: Mapped[str]
    image_size: Mapped[int]
    confidence: Mapped[float]
    changes: Mapped[dict[str, Any]]
    images_sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class PinnedImage(Base):
    """An image that every later run replays, because somebody saw that it is being forgotten."""

    __tablename__ = "pinned_image"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    actor: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
