"""The ledger as it is asked: what is live, what was live when, and what came before it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from core.errors import NotFound
from core.schemas import Verdict
from core.store import Store
from core.store.tables import Checkpoint, LedgerEntry


class PublishedModel(BaseModel):
    """The manifest of a checkpoint that is or was live, as `champion.json` has it, and how it came to be."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(description="The checkpoint.")
    sha256: str = Field(description="Of the weights file.")
    class_names: list[str] = Field(description="Ids are positions.")
    parent_id: str | None = Field(description="The checkpoint it was fine-tuned from; none of a baseline.")
    run_id: str | None = Field(description="The run that made it; none of a baseline.")
    dataset_digest: str | None = Field(description="Names the dataset revision that it learned from.")
    recipe: dict[str, Any] | None = Field(description="The hyperparameters of its run.")
    libraries: dict[str, str] = Field(description="Versions with which it was made.")
    host: str = Field(description="Where it was made.")
    created_at: str
    action: str = Field(description="How it became live: `promote` or `rollback`.")
    promoted_by: str
    promoted_at: str
    reason: str
    verdict: Verdict | None = Field(description="What the gate had said; none of what no run judged.")
    is_override: bool = Field(description="Whether somebody published it in spite of that.")
    live_until: str | None = Field(description="When the next one took its place; none while it is live.")


class LedgerView(BaseModel):
    """A promotion or a rollback."""

    id: int
    action: str = Field(description="`promote` or `rollback`.")
    checkpoint_id: str = Field(description="What became live.")
    previous_id: str | None = Field(description="What had been live before.")
    run_id: str | None = Field(description="The run that published by itself; none when a person did.")
    actor: str
    reason: str
    verdict: Verdict | None
    is_override: bool
    created_at: str


def entries(store: Store, *, limit: int = 50, before: int | None = None) -> list[LedgerView]:
    """Promotions and rollbacks, newest first.

    Args:
        store: Where the ledger is.
        limit: At most this many.
        before: Only entries numbered below this, for paging.
    """
    query = sa.select(LedgerEntry).order_by(LedgerEntry.id.desc()).limit(limit)
    if before is not None:
        query = query.where(LedgerEntry.id < before)
    with store.database.read() as session:
        return [_entry_view(entry) for entry in session.scalars(query)]


def live_now(store: Store) -> PublishedModel:
    """What is live.

    Raises:
        NotFound: If nothing is.
    """
    return _model(store, sa.true(), "Nothing is live yet: the first run adopts the baseline.")


def live_at(store: Store, moment: datetime) -> PublishedModel:
    """What was live at a moment, by the clocks of the hosts that published.

    Raises:
        NotFound: If nothing was.
    """
    absent = f"Nothing was live at {moment.isoformat()}. GET /api/model/ledger tells since when something is."
    return _model(store, LedgerEntry.created_at <= moment, absent)


def entry_for(store: Store, entry_id: int) -> PublishedModel:
    """What an entry of the ledger made live.

    Raises:
        NotFound: If there is no such entry.
    """
    return _model(store, LedgerEntry.id == entry_id, f"The ledger has no entry {entry_id}.")


def champion_before(store: Store, checkpoint_id: str) -> str | None:
    """The champion that a champion took the place of when it was last promoted; none if there was none.

    Going back once more from there leads further back, and not to where one came from.
    """
    query = (
        sa.select(LedgerEntry.previous_id)
        .where(LedgerEntry.checkpoint_id == checkpoint_id, LedgerEntry.action == "promote")
        .order_by(LedgerEntry.id.desc())
        .limit(1)
    )
    with store.database.read() as session:
        return session.scalar(query)


def was_live(store: Store, checkpoint_id: str) -> bool:
    """Whether a checkpoint is or ever was the champion."""
    query = sa.select(LedgerEntry.id).where(LedgerEntry.checkpoint_id == checkpoint_id).limit(1)
    with store.database.read() as session:
        return session.scalar(query) is not None


def _model(store: Store, which: sa.ColumnElement[bool], absent: str) -> PublishedModel:
    newest = sa.select(LedgerEntry).where(which).order_by(LedgerEntry.id.desc()).limit(1)
    with store.database.read() as session:
        entry = session.scalar(newest)
        if entry is None:
            raise NotFound(absent)
        checkpoint = session.get_one(Checkpoint, entry.checkpoint_id)
        later = sa.select(LedgerEntry).where(LedgerEntry.id > entry.id).order_by(LedgerEntry.id).limit(1)
        return _model_view(entry, checkpoint, session.scalar(later))


def _model_view(entry: LedgerEntry, checkpoint: Checkpoint, later: LedgerEntry | None) -> PublishedModel:
    return PublishedModel(
        **checkpoint.manifest,
        action=entry.action,
        promoted_by=entry.actor,
        promoted_at=entry.created_at.isoformat(),
        reason=entry.reason,
        verdict=entry.verdict,
        is_override=entry.is_override,
        live_until=later.created_at.isoformat() if later else None,
    )


def _entry_view(entry: LedgerEntry) -> LedgerView:
    kept = {name: getattr(entry, name) for name in LedgerView.model_fields if name != "created_at"}
    return LedgerView(**kept, created_at=entry.created_at.isoformat())
