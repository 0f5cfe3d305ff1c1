"""News for others, written in the transaction that makes it true: none is lost and none is made up."""

import json
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.store.ids import new_id
from core.store.tables import Delivery, Webhook, utc_now

Event = Literal["promoted", "rolled_back", "run_ended", "verdict"]
EVENTS: tuple[Event, ...] = get_args(Event)


def tell(session: Session, event: Event, subject: str, data: dict[str, Any]) -> None:
    """Put an event out for every webhook that asked for it, in the caller's transaction.

    Args:
        session: Whose transaction decides whether it happened.
        event: What happened.
        subject: What it happened to; the same event of the same subject is told once.
        data: JSON object with what is to be known of it.
    """
    for webhook in session.scalars(sa.select(Webhook).where(Webhook.removed_at.is_(None))):
        if event in webhook.events and not _is_told(session, webhook, event, subject):
            session.add(_delivery(webhook, event, subject, data))


def _is_told(session: Session, webhook: Webhook, event: Event, subject: str) -> bool:
    same = {"webhook_id": webhook.id, "event": event, "subject": subject}
    return session.scalar(sa.select(Delivery.id).filter_by(**same).limit(1)) is not None


def _delivery(webhook: Webhook, event: Event, subject: str, data: dict[str, Any]) -> Delivery:
    delivery_id, now = new_id("delivery"), utc_now()
    content = {"id": delivery_id, "event": event, "created_at": now.isoformat(), "data": data}
    return Delivery(
        id=delivery_id,
        webhook_id=webhook.id,
        event=event,
        subject=subject,
        body=json.dumps(content),
        due_at=now,
        created_at=now,
    )
