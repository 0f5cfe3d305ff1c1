"""`/api/webhooks`: who is told of what happens here."""

from typing import Annotated

from fastapi import Path, Query, Response

from api import examples
from api.context import ID_PATTERN, StoreDep
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import InvalidRequest, NotFound
from core.registry import webhooks
from core.registry.webhooks import DeliveryView, NewWebhook, WebhookView
from core.schemas import WebhookRequest

router = scoped("admin")

WebhookId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of the webhook.")]


@router.post(
    "/webhooks",
    summary="Have an address told of events",
    tags=["webhooks"],
    status_code=201,
    responses={
        201: {"content": {"application/json": {"example": examples.NEW_WEBHOOK}}},
        **declared(InvalidRequest),
    },
)
def create(body: WebhookRequest, store: StoreDep, actor: ActorDep) -> NewWebhook:
    """The answer has the secret of the signatures, which is not shown again."""
    return webhooks.create(store, body.url, body.events, actor=actor.name)


@router.get(
    "/webhooks",
    summary="List webhooks",
    tags=["webhooks"],
    responses={200: {"content": {"application/json": {"example": [examples.WEBHOOK]}}}},
)
def list_all(store: StoreDep) -> list[WebhookView]:
    """Those in force, with how many deliveries wait, arrived, or were given up."""
    return webhooks.list_all(store)


@router.delete(
    "/webhooks/{webhook_id}",
    summary="Tell an address nothing more",
    tags=["webhooks"],
    status_code=204,
    response_class=Response,
    responses=declared(InvalidRequest, NotFound),
)
def remove(webhook_id: WebhookId, store: StoreDep) -> None:
    """What was on its way is given up."""
    webhooks.remove(store, webhook_id)


@router.get(
    "/webhooks/{webhook_id}/deliveries",
    summary="What became of the events",
    tags=["webhooks"],
    responses={
        200: {"content": {"application/json": {"example": [examples.DELIVERY]}}},
        **declared(InvalidRequest, NotFound),
    },
)
def list_deliveries(
    webhook_id: WebhookId,
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Entries per page.")] = 50,
    before: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="Only deliveries older than the one with this id.")
    ] = None,
) -> list[DeliveryView]:
    """Newest first. For the next page send the last `id` as `before`."""
    return webhooks.deliveries(store, webhook_id, limit=limit, before=before)
