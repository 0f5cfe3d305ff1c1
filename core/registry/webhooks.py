"""Webhooks: which addresses are told of which events, and what became of each delivery."""

import secrets
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import urlsplit

import requests
import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from core.config import Settings
from core.errors import InvalidRequest, NotFound
from core.feedback.addresses import GuardedAdapter, check_url, without_secrets
from core.feedback.download import cause_of
from core.feedback.reasons import Refusal
from core.store import Store
from core.store.ids import new_id
from core.store.outbox import Event
from core.store.tables import DELIVERY_STATES, Delivery, Webhook, utc_now

_SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with, so that one is recognised where it leaks
_SECRET_BYTES = 32
_REMOVED = "The webhook was removed."


class WebhookView(BaseModel):
    """An address that is told of events."""

    id: str
    url: str = Field(description="Without its query string.")
    events: list[Event]
    actor: str = Field(description="Who set it up.")
    created_at: str
    pending: int = Field(description="Deliveries that wait, or are tried again.")
    delivered: int
    dead: int = Field(description="Deliveries that were given up.")
    last_error: str | None = Field(description="Why the newest delivery that failed did so.")


class NewWebhook(WebhookView):
    """A webhook that was just set up, with its secret, which is not shown again."""

    secret: str = Field(description="Key of the signatures; keep it now.")


class DeliveryView(BaseModel):
    """An event on its way to a webhook."""

    id: str
    event: Event
    subject: str = Field(description="What it is about: a run, or the number of an entry of the ledger.")
    status: str = Field(description="`pending`, `delivered` or `dead`.")
    tries: int
    due_at: str | None = Field(description="When it is tried next; only while it is pending.")
    error: str | None = Field(description="Why the last try failed.")
    created_at: str
    delivered_at: str | None


def create(store: Store, url: str, events: Sequence[Event], *, actor: str) -> NewWebhook:
    """Have an address told of events from now on.

    Args:
        store: Where it is kept.
        url: Where to post them: a public address, or a host of `TMS_WEBHOOK_HOSTS`.
        events: Of which kinds.
        actor: Who sets it up.

    Raises:
        InvalidRequest: If the address may not be called.
    """
    _refuse_address(store.settings, url)
    secret = _SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    kinds = list(dict.fromkeys(events))
    row = Webhook(id=new_id("webhook"), url=url, events=kinds, secret=secret, actor=actor)
    with store.database.write() as session:
        session.add(row)
        session.flush()
        return NewWebhook(**_view(session, row).model_dump(), secret=secret)


def list_all(store: Store) -> list[WebhookView]:
    """All webhooks that are in force, oldest first."""
    query = sa.select(Webhook).where(Webhook.removed_at.is_(None)).order_by(Webhook.id)
    with store.database.read() as session:
        return [_view(session, row) for row in session.scalars(query)]


def remove(store: Store, webhook_id: str) -> None:
    """Tell an address nothing more; what was on its way is given up.

    Raises:
        NotFound: If there is no such webhook.
    """
    pending = sa.update(Delivery).where(Delivery.webhook_id == webhook_id, Delivery.status == "pending")
    with store.database.write() as session:
        _in_force(session, webhook_id).removed_at = utc_now()
        session.execute(pending.values(status="dead", error=_REMOVED))


def deliveries(
    store: Store, webhook_id: str, *, limit: int = 50, before: str | None = None
) -> list[DeliveryView]:
    """What was sent to a webhook or is to be, newest first.

    Args:
        store: Where that is noted.
        webhook_id: The webhook.
        limit: At most this many.
        before: Only those older than the delivery with this id, for paging.

    Raises:
        NotFound: If there is no such webhook.
    """
    query = sa.select(Delivery).where(Delivery.webhook_id == webhook_id)
    if before is not None:
        query = query.where(Delivery.id < before)
    with store.database.read() as session:
        _in_force(session, webhook_id)
        found = session.scalars(query.order_by(Delivery.id.desc()).limit(limit))
        return [_delivery_view(row) for row in found]


def adapter_for(settings: Settings, url: str) -> GuardedAdapter:
    """What calls this address under the rules of these settings.

    Raises:
        Refusal: `fetch_refused_url`.
    """
    check_url(url)
    return GuardedAdapter(urlsplit(url).scheme, settings.allowed_webhook_hosts)


def _refuse_address(settings: Settings, url: str) -> None:
    shown = without_secrets(url)
    try:
        with closing(adapter_for(settings, url)) as adapter:
            adapter.check(url)
    except Refusal as refusal:
        raise InvalidRequest(
            f"{refusal.detail} Name a public address, or have the operator add the host to TMS_WEBHOOK_HOSTS."
        ) from None
    except requests.RequestException as error:
        raise InvalidRequest(f"{shown} cannot be called: {cause_of(error)}.") from None


def _in_force(session: Session, webhook_id: str) -> Webhook:
    row = session.get(Webhook, webhook_id)
    if row is None or row.removed_at is not None:
        raise NotFound(f"There is no webhook {webhook_id}. GET /api/webhooks lists all of them.")
    return row


def _view(session: Session, row: Webhook) -> WebhookView:
    of_it = Delivery.webhook_id == row.id
    query = sa.select(Delivery.status, sa.func.count()).where(of_it).group_by(Delivery.status)
    counts: dict[str, int] = dict(session.execute(query).all())
    failed = sa.select(Delivery.error).where(of_it, Delivery.error.is_not(None)).order_by(Delivery.id.desc())
    return WebhookView(
        id=row.id,
        url=without_secrets(row.url),
        events=row.events,
        actor=row.actor,
        created_at=row.created_at.isoformat(),
        **{status: counts.get(status, 0) for status in DELIVERY_STATES},
        last_error=session.scalar(failed.limit(1)),
    )


def _delivery_view(row: Delivery) -> DeliveryView:
    return DeliveryView(
        id=row.id,
        event=row.event,
        subject=row.subject,
        status=row.status,
        tries=row.tries,
        due_at=row.due_at.isoformat() if row.status == "pending" else None,
        error=row.error,
        created_at=row.created_at.isoformat(),
        delivered_at=row.delivered_at.isoformat() if row.delivered_at else None,
    )
