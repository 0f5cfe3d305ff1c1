"""Feedback is reviewed, repaired and told apart; runs may learn from all that was approved."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.store import tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=200), nullable=nullable)


def _json(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=nullable, server_default=default)


def _time(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, tables.UtcDateTime(timezone=True), nullable=nullable)


def _integer(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=nullable, server_default=default)


_NEW_COLUMNS: dict[str, list[sa.Column[Any]]] = {
    "batch": [
        sa.Column("is_trusted", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("fills_gaps", sa.Boolean(), server_default=sa.false(), nullable=False),
        _json("class_map", nullable=True),
        _text("champion_id"),
        _time("taken_in_at"),
        _time("predicted_at"),
        _integer("chore_attempts", default="0"),
        _time("chore_due_at"),
        sa.Column("chore_error", sa.Text(), nullable=True),
    ],
    "sample": [
        *map(_text, ("pixel_sha256", "perceptual_hash", "cluster", "thumbnail_sha256", "conflicts_with_id")),
        sa.Column("client_sample_id_lower", sa.Text(), nullable=True),
        _json("window", nullable=True),
        _json("warnings", default="[]"),
        sa.Column("disagreement", sa.Double(), nullable=True),
        _integer("revision", default="0"),
        _integer("intake_number", nullable=True),
        sa.Column("has_warnings", sa.Boolean(), server_default=sa.false(), nullable=False),
    ],
    "correction": [_integer("undoes", nullable=True), _integer("revision", default="0")],
    "sample_verdict": [_text("undoes"), _integer("revision", default="0")],
    "run": [
        sa.Column("learns_from", sa.String(length=200), server_default="batch", nullable=False),
        sa.Column("source", sa.String(length=200), server_default="", nullable=False),
        sa.Column("actor", sa.String(length=200), server_default="", nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        _integer("image_count", default="0"),
    ],
    "checkpoint": [_integer("epochs", nullable=True)],
}
_LISTED_BY = ["batch_id", "is_holdout", "has_warnings", "group", "client_sample_id_lower"]
_NEW_INDEXES = {
    "sample": {
        "sample_by_cluster": ["cluster"],
        "sample_by_pixels": ["pixel_sha256"],
        "sample_by_batch": ["batch_id", "id"],
        "sample_by_age": ["id", "status", *_LISTED_BY],
        "sample_by_status": ["status", "id", *_LISTED_BY],
        "sample_by_disagreement": ["disagreement", "id", "status", *_LISTED_BY],
        "sample_by_status_and_disagreement": ["status", "disagreement", "id", *_LISTED_BY],
    },
    "run": {"run_by_batch": ["batch_id"]},
    "checkpoint": {"ix_checkpoint_dataset_digest": ["dataset_digest"]},
}
_HAS_CHORE = sa.text("taken_in_at IS NULL OR predicted_at IS NULL OR predicted_at < taken_in_at")
_NEW_TABLES: dict[str, list[Any]] = {
    "sample_class": [
        _integer("class_id"),
        _text("sample_id", nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name=op.f("fk_sample_class_sample_id")),
        sa.PrimaryKeyConstraint("class_id", "sample_id", name=op.f("pk_sample_class")),
        sa.Index("sample_class_by_sample", "sample_id", "class_id"),
    ],
    "quarantine_repair": [
        *(_text(name, nullable=False) for name in ("id", "sample_id", "kind", "actor")),
        _json("arguments"),
        sa.Column("reason", sa.Text(), nullable=True),
        _time("created_at", nullable=False),
        sa.CheckConstraint(
            "kind IN ('retry', 'clip', 'map_class', 'accept')", name=op.f("ck_quarantine_repair_kind_known")
        ),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name=op.f("fk_quarantine_repair_sample_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine_repair")),
        sa.Index(op.f("ix_quarantine_repair_sample_id"), "sample_id"),
    ],
    "upload": [
        _text("sha256", nullable=False),
        _integer("size_bytes"),
        _text("actor", nullable=False),
        _time("created_at", nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_upload")),
    ],
    "fingerprint": [
        *(_text(name, nullable=False) for name in ("source_sha256", "pixel_sha256", "perceptual_hash")),
        sa.PrimaryKeyConstraint("source_sha256", name=op.f("pk_fingerprint")),
    ],
    "prediction": [
        *(_text(name, nullable=False) for name in ("checkpoint_id", "blob_sha256")),
        _json("detections"),
        _time("created_at", nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_prediction_checkpoint_id")
        ),
        sa.PrimaryKeyConstraint("checkpoint_id", "blob_sha256", name=op.f("pk_prediction")),
    ],
    "disagreement": [
        *(_text(name, nullable=False) for name in ("sample_id", "checkpoint_id")),
        sa.Column("score", sa.Double(), nullable=False),
        _json("differences"),
        _time("created_at", nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name=op.f("fk_disagreement_sample_id")),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_disagreement_checkpoint_id")
        ),
        sa.PrimaryKeyConstraint("sample_id", "checkpoint_id", name=op.f("pk_disagreement")),
    ],
    "batch_score": [
        *(_text(name, nullable=False) for name in ("batch_id", "checkpoint_id", "set_digest")),
        _integer("image_count"),
        _json("metrics"),
        _json("per_class"),
        _time("created_at", nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_batch_score_batch_id")),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_batch_score_checkpoint_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batch_score")),
    ],
    "revision_sample": [
        *(_text(name, nullable=False) for name in ("dataset_digest", "sample_id", "role")),
        _integer("correction_version"),
        _integer("first_epoch", nullable=True),
        sa.CheckConstraint(
            "role IN ('feedback', 'replay', 'holdout')", name=op.f("ck_revision_sample_role_known")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_digest"], ["dataset_revision.digest"], name=op.f("fk_revision_sample_dataset_digest")
        ),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name=op.f("fk_revision_sample_sample_id")),
        sa.PrimaryKeyConstraint("dataset_digest", "sample_id", name=op.f("pk_revision_sample")),
        sa.Index(op.f("ix_revision_sample_sample_id"), "sample_id"),
    ],
}
# What was known of earlier batches, runs and samples under other names.
_CARRIED_OVER = (
    "UPDATE sample SET intake_number = numbered.number"
    " FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM sample) AS numbered"
    " WHERE numbered.id = sample.id AND blob_sha256 IS NOT NULL AND status <> 'quarantined'",
    "UPDATE sample SET client_sample_id_lower = lower(client_sample_id)",
    "UPDATE run SET source = (SELECT batch.source FROM batch WHERE batch.id = run.batch_id),"
    " actor = (SELECT batch.actor FROM batch WHERE batch.id = run.batch_id),"
    " note = (SELECT batch.note FROM batch WHERE batch.id = run.batch_id),"
    " image_count = (SELECT count(*) FROM sample WHERE sample.batch_id = run.batch_id)",
    "UPDATE batch SET taken_in_at = created_at, predicted_at = created_at WHERE NOT EXISTS (SELECT 1"
    " FROM sample WHERE sample.batch_id = batch.id AND sample.status = 'pending' AND blob_sha256 IS NULL)",
    "INSERT INTO revision_sample (dataset_digest, sample_id, correction_version, role, first_epoch)"
    " SELECT DISTINCT run.dataset_digest, sample.id, 1, 'feedback', 1 FROM run"
    " JOIN sample ON sample.batch_id = run.batch_id WHERE run.dataset_digest IS NOT NULL"
    " AND sample.status = 'approved' AND NOT sample.is_holdout",
)


def upgrade() -> None:
    for table, columns in _NEW_COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
    # The one of before is narrower.
    op.drop_index("sample_by_status", "sample")
    for table, indexes in _NEW_INDEXES.items():
        for name, names in indexes.items():
            op.create_index(name, table, names)
    op.create_index("uq_sample_intake_number", "sample", ["intake_number"], unique=True)
    op.create_index("batch_with_chore", "batch", ["id"], sqlite_where=_HAS_CHORE, postgresql_where=_HAS_CHORE)
    for table, parts in _NEW_TABLES.items():
        op.create_table(table, *parts)
    _allow_decisions("approved", "rejected", "reopened")
    _let_keys_stand_for_batches()
    for statement in _CARRIED_OVER:
        op.execute(statement)


def _let_keys_stand_for_batches() -> None:
    with op.batch_alter_table("idempotency_key") as keys:
        keys.alter_column("run_id", existing_type=sa.String(length=200), nullable=True)
        keys.add_column(_text("batch_id"))
        keys.create_foreign_key(op.f("fk_idempotency_key_batch_id"), "batch", ["batch_id"], ["id"])
        keys.create_check_constraint(
            op.f("ck_idempotency_key_stands_for_one"), "(run_id IS NULL) <> (batch_id IS NULL)"
        )


def _allow_decisions(*decisions: str) -> None:
    listed = ", ".join(f"'{decision}'" for decision in decisions)
    with op.batch_alter_table("sample_verdict") as batch:
        batch.drop_constraint(op.f("ck_sample_verdict_decision_known"), type_="check")
        batch.create_check_constraint(op.f("ck_sample_verdict_decision_known"), f"decision IN ({listed})")


def downgrade() -> None:
    op.execute("DELETE FROM sample_verdict WHERE decision = 'reopened'")
    _allow_decisions("approved", "rejected")
    _let_keys_stand_for_runs_alone()
    for table in reversed(_NEW_TABLES):
        op.drop_table(table)
    op.drop_index("uq_sample_intake_number", "sample")
    op.drop_index("batch_with_chore", "batch")
    for table, indexes in _NEW_INDEXES.items():
        for name in indexes:
            op.drop_index(name, table)
    op.create_index("sample_by_status", "sample", ["status", "id"])
    for table, columns in _NEW_COLUMNS.items():
        for column in columns:
            op.drop_column(table, column.name)


def _let_keys_stand_for_runs_alone() -> None:
    op.execute("DELETE FROM idempotency_key WHERE run_id IS NULL")
    with op.batch_alter_table("idempotency_key") as keys:
        keys.drop_constraint(op.f("ck_idempotency_key_stands_for_one"), type_="check")
        keys.drop_constraint(op.f("fk_idempotency_key_batch_id"), type_="foreignkey")
        keys.drop_column("batch_id")
        keys.alter_column("run_id", existing_type=sa.String(length=200), nullable=False)
