"""Workers tell how much memory and disk their host has left, and keys when they were last used."""

import sqlalchemy as sa
from alembic import op

from core.store import tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("room", sa.JSON(), nullable=True))
    op.add_column("api_key", sa.Column("last_used_at", tables.UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("api_key", "last_used_at")
    op.drop_column("worker", "room")
