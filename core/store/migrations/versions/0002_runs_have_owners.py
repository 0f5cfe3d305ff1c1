"""Runs have owners with fences, wishes and resume states; the database refuses illegal transitions.

A later migration that rebuilds the table `run` on SQLite has to make the trigger again.
"""

import sqlalchemy as sa
from alembic import op

from core.store import tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TRANSITIONS = {
    "queued": ("preparing", "failed", "cancelled"),
    "preparing": ("training", "evaluating", "failed", "cancelled", "interrupted"),
    "training": ("evaluating", "failed", "cancelled", "interrupted"),
    "evaluating": ("succeeded", "failed", "cancelled", "interrupted"),
    "interrupted": ("queued", "failed", "cancelled"),
}
_NEW_COLUMNS = {
    "run": ("fence", "owner_id", "beats", "heartbeat_at", "setbacks", "wanted", "wanted_by", "resume_sha256",
            "resume_epoch", "continues_id"),
    "run_event": ("fence",),
    "dataset_revision": ("content_sha256",),
}  # fmt: skip
_COUNTERS = {"fence", "beats", "setbacks", "resume_epoch"}
_IS_ILLEGAL = """NEW.status <> OLD.status AND NOT EXISTS (
    SELECT 1 FROM run_transition WHERE from_status = OLD.status AND to_status = NEW.status)"""
_SQLITE_TRIGGER = f"""
CREATE TRIGGER run_transition_check BEFORE UPDATE OF status ON run FOR EACH ROW WHEN {_IS_ILLEGAL}
BEGIN SELECT RAISE(ABORT, 'this state does not follow from the one before'); END"""
_POSTGRES_FUNCTION = f"""
CREATE FUNCTION run_transition_check() RETURNS trigger AS $$
BEGIN
    IF {_IS_ILLEGAL} THEN
        RAISE EXCEPTION 'this state does not follow from the one before' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$ LANGUAGE plpgsql"""
_POSTGRES_TRIGGER = """
CREATE TRIGGER run_transition_check BEFORE UPDATE OF status ON run
FOR EACH ROW EXECUTE FUNCTION run_transition_check()"""


def _column(name: str) -> sa.Column[object]:
    if name in _COUNTERS:
        return sa.Column(name, sa.Integer(), server_default="0", nullable=False)
    if name == "heartbeat_at":
        return sa.Column(name, tables.UtcDateTime(timezone=True), nullable=True)
    return sa.Column(name, sa.String(length=200), nullable=True)


def upgrade() -> None:
    for table, names in _NEW_COLUMNS.items():
        for name in names:
            op.add_column(table, _column(name))
    transition = op.create_table(
        "run_transition",
        sa.Column("from_status", sa.String(length=200), nullable=False),
        sa.Column("to_status", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("from_status", "to_status", name=op.f("pk_run_transition")),
    )
    pairs = [(before, after) for before, following in _TRANSITIONS.items() for after in following]
    op.bulk_insert(transition, [{"from_status": before, "to_status": after} for before, after in pairs])
    # Whatever worked on a run before this version had no owner: it is taken up anew.
    op.execute(
        "UPDATE run SET status = 'queued'"
        " WHERE status IN ('preparing', 'training', 'evaluating', 'interrupted')"
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in [_SQLITE_TRIGGER] if is_sqlite else [_POSTGRES_FUNCTION, _POSTGRES_TRIGGER]:
        op.execute(statement)


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute("DROP TRIGGER run_transition_check" + ("" if is_sqlite else " ON run"))
    if not is_sqlite:
        op.execute("DROP FUNCTION run_transition_check()")
    op.drop_table("run_transition")
    for table, names in _NEW_COLUMNS.items():
        for name in names:
            op.drop_column(table, name)
