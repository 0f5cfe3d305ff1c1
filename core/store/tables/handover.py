"""What is handed to others: weights that they load, and news that they are sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.store.tables.base import Base, one_of, utc_now

DELIVERY_STATES = ("pending", "delivered", "dead")


class Witness(Base):
    """What a checkpoint saw in one image when it was judged; whoever loads its weights has to see the same.

    `[{"xyxy": [...], "class_id": n, "confidence": c}]`, in pixels. `proven_with` names the libraries with
    which another process has loaded the weights and did see it.
    """

    __tablename__ = "witness"

    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"), primary_key=True)
    image_sha256: Mapped[str]
    image_size_px: Mapped[int]
    detections: Mapped[list[Any]]
    proven_with: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Acknowledgement(Base):
    """The weights that an inference service said last that it serves, under the name that it gave itself."""

    __tablename__ = "acknowledgement"

    actor: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    since: Mapped[datetime] = mapped_column(default=utc_now)
    seen_at: Mapped[datetime] = mapped_column(default=utc_now)


class Webhook(Base):
    """An address that is told of events, and the secret by which it knows who tells."""

    __tablename__ = "webhook"

    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[Any]]
    secret: Mapped[str]
    actor: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    removed_at: Mapped[datetime | None]


class Delivery(Base):
    """An event on its way to a webhook: the outbox.

    `subject` is what the event is about, so that it is told once. `due_at` is the time of the next try; while
    one goes on it is the time when it is given up for lost.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event", "subject"),
        one_of("status", DELIVERY_STATES),
        Index("delivery_by_due_at", "status", "due_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhook.id"))
    event: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(default="pending")
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(default=utc_now)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    delivered_at: Mapped[datetime | None]
