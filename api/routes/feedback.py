"""`POST /api/feedback`: a feedback batch is kept for review, and nothing is learned from it yet."""

from typing import Annotated, Any

from fastapi import Body, Path, Response

from api import examples
from api.context import ID_PATTERN, IdempotencyKey, StoreDep
from api.paging import NEXT_PAGE, Before, Limit, promise_next
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import DatabaseUnavailable, IdempotencyConflict, InvalidRequest, NotFound
from core.feedback.batches import BatchDetail, BatchView, get_batch, list_batches
from core.jobs import service
from core.schemas import FeedbackRequest

router = scoped("feed")

_COLLECTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The batch; a worker fetches and checks its images, then they wait for review.",
        "headers": {"Location": {"schema": {"type": "string"}, "description": "Address of the batch."}},
        "content": {"application/json": {"example": examples.NEW_BATCH}},
    },
    **declared(InvalidRequest, IdempotencyConflict, DatabaseUnavailable),
}


@router.post(
    "/feedback",
    summary="Hand in feedback without learning from it",
    tags=["feedback"],
    status_code=202,
    responses=_COLLECTED,
)
def collect(
    response: Response,
    store: StoreDep,
    actor: ActorDep,
    body: Annotated[FeedbackRequest, Body(openapi_examples=examples.FEEDBACK_REQUESTS)],
    idempotency_key: IdempotencyKey = None,
) -> BatchDetail:
    """Every sample stays pending until somebody has approved or rejected it."""
    batch_id = service.collect(store, body, source="api", actor=actor.name, idempotency_key=idempotency_key)
    response.headers["Location"] = f"/api/batches/{batch_id}"
    return get_batch(store, batch_id)


@router.get(
    "/batches",
    summary="List batches, newest first",
    tags=["feedback"],
    responses={
        200: {"headers": NEXT_PAGE, "content": {"application/json": {"example": [examples.BATCH]}}},
        **declared(InvalidRequest),
    },
)
def list_all(
    response: Response, store: StoreDep, limit: Limit = 50, before: Before = None
) -> list[BatchView]:
    """All batches, whoever posted them and whether or not a run began with them."""
    found = list_batches(store, limit=limit + 1, before=before)
    if len(found) > limit:
        promise_next(response, "/api/batches", {"limit": limit, "before": found[limit - 1].id})
    return found[:limit]


@router.get(
    "/batches/{batch_id}",
    summary="One batch",
    tags=["feedback"],
    responses={
        200: {"content": {"application/json": {"example": examples.BATCH_DETAIL}}},
        **declared(InvalidRequest, NotFound),
    },
)
def get_one(
    batch_id: Annotated[str, Path(pattern=ID_PATTERN, description="Id of the batch.")], store: StoreDep
) -> BatchDetail:
    """How many of its samples stand where, and each image that was put aside."""
    return get_batch(store, batch_id)
