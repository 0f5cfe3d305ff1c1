"""The judge keeps what it judged by: frozen sets, raw detections, comparisons; and images are pinned."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.store import tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=200), nullable=nullable)


def _created_at() -> sa.Column[Any]:
    return sa.Column("created_at", tables.UtcDateTime(timezone=True), nullable=False)


_NEW_TABLES: dict[str, list[Any]] = {
    "evaluation_set": [
        *map(_text, ("digest", "name", "content_sha256")),
        sa.Column("image_count", sa.Integer(), nullable=False),
        _created_at(),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_evaluation_set")),
    ],
    "judged_image": [
        *map(_text, ("sha256", "set_name")),
        _created_at(),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_judged_image")),
    ],
    "comparison": [
        *map(_text, ("id", "baseline_id", "candidate_id", "set_name", "set_digest", "images_sha256")),
        _text("run_id", nullable=True),
        sa.Column("image_size", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        _created_at(),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_comparison_run_id")),
        sa.ForeignKeyConstraint(["baseline_id"], ["checkpoint.id"], name=op.f("fk_comparison_baseline_id")),
        sa.ForeignKeyConstraint(["candidate_id"], ["checkpoint.id"], name=op.f("fk_comparison_candidate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparison")),
        sa.Index(op.f("ix_comparison_run_id"), "run_id"),
        sa.Index("comparison_of_pair", "baseline_id", "candidate_id"),
    ],
    "pinned_image": [
        *map(_text, ("sha256", "actor")),
        sa.Column("reason", sa.Text(), nullable=True),
        _created_at(),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_pinned_image")),
    ],
}


def upgrade() -> None:
    with op.batch_alter_table("evaluation") as batch:
        batch.alter_column("run_id", existing_type=sa.String(length=200), nullable=True)
        batch.add_column(sa.Column("image_size", sa.Integer(), server_default="0", nullable=False))
        batch.add_column(sa.Column("figures", sa.JSON(), nullable=True))
        batch.add_column(_text("detections_sha256", nullable=True))
    op.create_index("evaluation_of_checkpoint", "evaluation", ["checkpoint_id", "set_digest", "image_size"])
    op.create_index(op.f("ix_evaluation_detections_sha256"), "evaluation", ["detections_sha256"])
    for table, parts in _NEW_TABLES.items():
        op.create_table(table, *parts)


def downgrade() -> None:
    for table in reversed(_NEW_TABLES):
        op.drop_table(table)
    op.execute("DELETE FROM evaluation WHERE run_id IS NULL")
    op.drop_index(op.f("ix_evaluation_detections_sha256"), "evaluation")
    op.drop_index("evaluation_of_checkpoint", "evaluation")
    with op.batch_alter_table("evaluation") as batch:
        for column in ("detections_sha256", "figures", "image_size"):
            batch.drop_column(column)
        batch.alter_column("run_id", existing_type=sa.String(length=200), nullable=False)
