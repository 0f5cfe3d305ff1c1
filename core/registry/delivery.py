"""Takes what lies in the outbox to the webhooks: signed, at least once, again and again for hours.

Whoever is about to try a delivery moves its due time past the longest try: nobody else takes it meanwhile,
and if he dies, it is due again by itself.
"""

import hashlib
import hmac
import time
from contextlib import closing
from datetime import timedelta

import requests
import sqlalchemy as sa
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from core.feedback.addresses import without_secrets
from core.feedback.download import cause_of
from core.feedback.reasons import Refusal
from core.registry.webhooks import adapter_for
from core.store import Store
from core.store.tables import Delivery, Webhook, utc_now

MOST_TRIES = 12
FIRST_PAUSE = timedelta(seconds=10)
"""Each pause is twice the one before: the twelfth try comes 5.7 hours after the first."""
_LONGEST_TRY_S = 10.0
_TRY_IS_LOST_AFTER = timedelta(seconds=60)
_KEPT_FOR = timedelta(days=30)
_PENDING = sa.and_(Delivery.status == "pending", Webhook.removed_at.is_(None))


def due_webhooks(store: Store) -> list[str]:
    """Ids of webhooks for which something is due; cheap enough to be asked every few seconds."""
    due = sa.select(Delivery.webhook_id).join(Webhook).where(_PENDING, Delivery.due_at <= utc_now())
    with store.database.read() as session:
        return list(session.scalars(due.distinct()))


def deliver(store: Store, webhook_id: str) -> None:
    """Try everything once that is due for a webhook, the oldest first."""
    while (taken := _take(store, webhook_id)) is not None:
        delivery, webhook = taken
        error = _post(store, delivery, webhook)
        with store.database.write() as session:
            _note(session.get_one(Delivery, delivery.id, with_for_update=True), error)
    _forget_the_old(store)


def signature(secret: str, timestamp: int, body: str) -> str:
    """HMAC-SHA256, in hex, over timestamp, a dot, and body.

    Args:
        secret: The webhook's.
        timestamp: Of the try, seconds since 1970.
        body: As it is sent.
    """
    return hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()


def _take(store: Store, webhook_id: str) -> tuple[Delivery, Webhook] | None:
    now = utc_now()
    oldest = (
        sa.select(Delivery, Webhook)
        .join(Webhook)
        .where(_PENDING, Webhook.id == webhook_id, Delivery.due_at <= now)
        .order_by(Delivery.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=Delivery)
    )
    with store.database.write() as session:
        found = session.execute(oldest).one_or_none()
        if found is None:
            return None
        delivery, webhook = found
        delivery.tries, delivery.due_at = delivery.tries + 1, now + _TRY_IS_LOST_AFTER
        return delivery, webhook


def _post(store: Store, delivery: Delivery, webhook: Webhook) -> str | None:
    """Try a delivery; gives why it failed, or None."""
    shown, began_s = without_secrets(webhook.url), time.monotonic()
    try:
        with closing(adapter_for(store.settings, webhook.url)) as adapter:
            limit = Timeout(total=_LONGEST_TRY_S)
            answer = adapter.send(_request(delivery, webhook), stream=True, timeout=limit, proxies={})
            answer.close()
    except Refusal as refusal:
        return str(refusal.detail)
    except (requests.RequestException, HTTPError) as error:
        return f"{shown} could not be reached: {cause_of(error)}."
    # An answer that was cut off because it came too slowly looks like a short one.
    if time.monotonic() - began_s >= _LONGEST_TRY_S:
        return f"{shown} did not answer within {_LONGEST_TRY_S:g} s."
    # A redirect is not followed: whoever moves tells us his new address.
    return None if answer.ok and not answer.is_redirect else f"{shown} answered {answer.status_code}."


def _request(delivery: Delivery, webhook: Webhook) -> requests.PreparedRequest:
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "tms-webhook",
        "TMS-Delivery": delivery.id,
        "TMS-Event": delivery.event,
        "TMS-Signature": f"t={timestamp},v1={signature(webhook.secret, timestamp, delivery.body)}",
    }
    return requests.Request("POST", webhook.url, data=delivery.body.encode(), headers=headers).prepare()


def _note(delivery: Delivery, error: str | None) -> None:
    delivery.error = error
    if error is None:
        delivery.status, delivery.delivered_at = "delivered", utc_now()
    elif delivery.tries >= MOST_TRIES:
        delivery.status = "dead"
    elif delivery.status == "pending":
        delivery.due_at = utc_now() + FIRST_PAUSE * 2 ** (delivery.tries - 1)


def _forget_the_old(store: Store) -> None:
    is_old = sa.and_(Delivery.status != "pending", Delivery.created_at < utc_now() - _KEPT_FOR)
    with store.database.write() as session:
        session.execute(sa.delete(Delivery).where(is_old))
