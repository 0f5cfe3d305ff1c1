"""Checkpoints as they are shown: where each comes from, and whether it is or ever was live."""

from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field

from core.errors import NotFound
from core.registry import publish
from core.store import Store
from core.store.tables import Checkpoint, LedgerEntry

WAS_LIVE = Checkpoint.id.in_(sa.select(LedgerEntry.checkpoint_id))
"""Whether a checkpoint is the champion, or was it once."""


class CheckpointView(BaseModel):
    """Weights, what made them, and whether they were ever published."""

    id: str
    sha256: str = Field(description="Of the weights file.")
    created_at: str
    parent_id: str | None = Field(description="The checkpoint it was fine-tuned from; none of a baseline.")
    run_id: str | None = Field(description="The run that made it; none of a baseline.")
    dataset_digest: str | None = Field(description="Names the dataset revision that it learned from.")
    epochs: int | None = Field(description="Epochs that went into the weights: up to the best one.")
    recipe: dict[str, Any] | None = Field(description="The hyperparameters of its run.")
    class_names: list[str] = Field(description="Ids are positions.")
    is_live: bool = Field(description="Whether it is the champion.")
    was_live: bool = Field(description="Whether it is the champion, or was it once.")


def get_checkpoint(store: Store, checkpoint_id: str) -> CheckpointView:
    """One checkpoint.

    Raises:
        NotFound: If there is no such checkpoint.
    """
    found = _views(store, sa.select(Checkpoint).where(Checkpoint.id == checkpoint_id))
    if not found:
        raise NotFound(f"There is no checkpoint {checkpoint_id}. GET /api/checkpoints lists all of them.")
    return found[0]


def list_checkpoints(store: Store, *, limit: int = 50, before: str | None = None) -> list[CheckpointView]:
    """Checkpoints, newest first.

    Args:
        store: Where they are kept.
        limit: At most this many.
        before: Only checkpoints made before the one with this id, for paging.
    """
    query = sa.select(Checkpoint).order_by(Checkpoint.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Checkpoint.id < before)
    return _views(store, query)


def _views(store: Store, query: sa.Select[Checkpoint]) -> list[CheckpointView]:
    live = publish.champion(store)
    with store.database.read() as session:
        rows = session.execute(query.add_columns(WAS_LIVE)).all()
    return [_view(row, is_live=live is not None and row.id == live.id, was_live=was) for row, was in rows]


def _view(row: Checkpoint, *, is_live: bool, was_live: bool) -> CheckpointView:
    return CheckpointView(
        id=row.id,
        sha256=row.sha256,
        created_at=row.created_at.isoformat(),
        parent_id=row.parent_id,
        run_id=row.run_id,
        dataset_digest=row.dataset_digest,
        epochs=row.epochs,
        recipe=row.manifest.get("recipe"),
        class_names=row.class_names,
        is_live=is_live,
        was_live=was_live,
    )
