"""What is published, and who serves it: services say which weights they have loaded."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from core.registry import ledger
from core.registry.publish import champion
from core.store import Store
from core.store.tables import Acknowledgement, Checkpoint, utc_now

_GONE_AFTER = timedelta(days=7)


class ServiceView(BaseModel):
    """An inference service, and what it said last that it serves."""

    service: str = Field(description="The name that it gave itself.")
    actor: str = Field(description="The key that it called with.")
    sha256: str = Field(description="Of the weights that it serves.")
    checkpoint_id: str | None = Field(description="The checkpoint they are; none if none has these bytes.")
    is_current: bool = Field(description="Whether that is the champion.")
    since: str = Field(description="When it first said so of these weights.")
    seen_at: str = Field(description="When it said so last.")


class HandoverState(BaseModel):
    """What is published, and what of that has arrived."""

    champion_id: str | None
    sha256: str | None = Field(description="Of the published weights.")
    published_at: str | None
    services: list[ServiceView] = Field(description="Those heard of within a week, newest first.")

    @property
    def current_count(self) -> int:
        """How many services serve the champion."""
        return sum(service.is_current for service in self.services)


def acknowledge(store: Store, sha256: str, *, actor: str, service: str) -> ServiceView:
    """Note which weights a service serves; it may say so as often as it likes.

    Args:
        store: Where it is noted.
        sha256: Of the weights file that it has loaded, in hex; also of one that is not known here.
        actor: Whose key it called with.
        service: The name of this one of the actor's services.
    """
    with store.database.write() as session:
        store.database.exclusive(session, "acknowledgement")
        row = session.get(Acknowledgement, (actor, service))
        if row is None:
            row = Acknowledgement(actor=actor, service=service)
            session.add(row)
        if row.sha256 != sha256:
            row.sha256, row.since = sha256, utc_now()
        row.seen_at = utc_now()
        session.flush()
        return _views(session, [row], _live_sha256(store))[0]


def state(store: Store) -> HandoverState:
    """What is published, and which services serve it."""
    live = champion(store)
    newest = ledger.entries(store, limit=1)
    recent = sa.select(Acknowledgement).where(Acknowledgement.seen_at > utc_now() - _GONE_AFTER)
    with store.database.read() as session:
        rows = list(session.scalars(recent.order_by(Acknowledgement.seen_at.desc())))
        services = _views(session, rows, live.sha256 if live else None)
    return HandoverState(
        champion_id=live.id if live else None,
        sha256=live.sha256 if live else None,
        published_at=newest[0].created_at if newest else None,
        services=services,
    )


def _live_sha256(store: Store) -> str | None:
    live = champion(store)
    return live.sha256 if live else None


def _views(session: Session, rows: Sequence[Acknowledgement], live_sha256: str | None) -> list[ServiceView]:
    named = _checkpoints_by_sha256(session, {row.sha256 for row in rows})
    return [
        ServiceView(
            service=row.service,
            actor=row.actor,
            sha256=row.sha256,
            checkpoint_id=named.get(row.sha256),
            is_current=row.sha256 == live_sha256,
            since=_iso(row.since),
            seen_at=_iso(row.seen_at),
        )
        for row in rows
    ]


def _checkpoints_by_sha256(session: Session, sha256: set[str]) -> dict[str, str]:
    """The newest checkpoint of each of these bytes."""
    query = sa.select(Checkpoint.sha256, Checkpoint.id).where(Checkpoint.sha256.in_(sha256))
    newest_last: dict[str, str] = dict(session.execute(query.order_by(Checkpoint.id)).all())
    return newest_last


def _iso(moment: datetime) -> str:
    return moment.isoformat()
