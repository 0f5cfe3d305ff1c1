"""Weights are proven elsewhere, acknowledged by those who serve them, and news of them is sent out."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.store import tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=200), nullable=nullable)


def _long_text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, tables.UtcDateTime(timezone=True), nullable=nullable)


def _integer(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False)


_NEW_TABLES: dict[str, list[Any]] = {
    "witness": [
        *map(_text, ("checkpoint_id", "image_sha256")),
        _integer("image_size_px"),
        _json("detections"),
        _text("proven_with", nullable=True),
        _time("created_at"),
        sa.ForeignKeyConstraint(["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_witness_checkpoint_id")),
        sa.PrimaryKeyConstraint("checkpoint_id", name=op.f("pk_witness")),
    ],
    "acknowledgement": [
        *map(_text, ("actor", "service", "sha256")),
        *map(_time, ("since", "seen_at")),
        sa.PrimaryKeyConstraint("actor", "service", name=op.f("pk_acknowledgement")),
    ],
    "webhook": [
        _text("id"),
        _long_text("url"),
        _json("events"),
        *map(_text, ("secret", "actor")),
        _time("created_at"),
        _time("removed_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    ],
    "delivery": [
        *map(_text, ("id", "webhook_id", "event", "subject")),
        _long_text("body"),
        _text("status"),
        _integer("tries"),
        _time("due_at"),
        _long_text("error", nullable=True),
        _time("created_at"),
        _time("delivered_at", nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'dead')", name=op.f("ck_delivery_status_known")
        ),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], name=op.f("fk_delivery_webhook_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "webhook_id", "event", "subject", name=op.f("uq_delivery_webhook_id_event_subject")
        ),
        sa.Index("delivery_by_due_at", "status", "due_at"),
    ],
}


def upgrade() -> None:
    for table, parts in _NEW_TABLES.items():
        op.create_table(table, *parts)
    op.add_column("ledger_entry", _text("verdict", nullable=True))
    op.add_column(
        "ledger_entry", sa.Column("is_override", sa.Boolean(), server_default=sa.false(), nullable=False)
    )


def downgrade() -> None:
    for column in ("is_override", "verdict"):
        op.drop_column("ledger_entry", column)
    for table in reversed(_NEW_TABLES):
        op.drop_table(table)
