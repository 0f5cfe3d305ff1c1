"""`/api/runs`: every fine-tune, its state, and its outcome."""

from typing import Annotated

from fastapi import Query, Response

from api import examples
from api.context import RunId, StoreDep
from api.paging import NEXT_PAGE, Before, Limit, promise_next
from api.problems import declared
from api.security import scoped
from core.errors import InvalidRequest, NotFound
from core.schemas import RunStatus, RunView
from core.store.run_views import get_run, list_runs

router = scoped("feed")


@router.get(
    "/runs",
    summary="List runs, newest first",
    tags=["runs"],
    responses={
        200: {
            "headers": NEXT_PAGE,
            "content": {"application/json": {"example": [examples.QUEUED_RUN]}},
        },
        **declared(InvalidRequest),
    },
)
def list_all(
    response: Response,
    store: StoreDep,
    limit: Limit = 50,
    before: Before = None,
    status: Annotated[RunStatus | None, Query(description="Only runs in this state.")] = None,
) -> list[RunView]:
    """All runs, whoever started them."""
    found = list_runs(store, limit=limit + 1, before=before, status=status)
    if len(found) > limit:
        query = {"limit": limit, "before": found[limit - 1].id, "status": status}
        promise_next(response, "/api/runs", query)
    return found[:limit]


@router.get(
    "/runs/{run_id}",
    summary="One run",
    tags=["runs"],
    responses={
        200: {"content": {"application/json": {"example": examples.QUEUED_RUN}}},
        **declared(InvalidRequest, NotFound),
    },
)
def get_one(run_id: RunId, store: StoreDep) -> RunView:
    """Its state, its place in the queue, and its outcome once it ended."""
    return get_run(store, run_id)
