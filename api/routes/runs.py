"""`/api/runs`: every fine-tune, its state, and how it went on."""

from typing import Annotated, Any

from fastapi import Path, Query, Response
from pydantic import BaseModel, Field

from api import examples
from api.context import StoreDep
from api.problems import declared
from api.security import scoped
from core.errors import InvalidRequest, NotFound
from core.schemas import RunStatus, RunView
from core.store.runs import events_after, get_run, list_runs

router = scoped("feed")

# The largest number that every database takes as an integer.
_MAX_SEQ = 2**31 - 1
_ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
RunId = Annotated[str, Path(pattern=_ID_PATTERN, description="Id of the run.")]


class RunEventView(BaseModel):
    """One step of a run's progress."""

    seq: int = Field(description="Number of the event within its run, from 1.")
    kind: str = Field(description="`status`, `phase`, `batch`, `epoch` or `log`.")
    payload: dict[str, Any]
    created_at: str


@router.get(
    "/runs",
    summary="List runs, newest first",
    tags=["runs"],
    responses={
        200: {
            "headers": {"Link": {"schema": {"type": "string"}, "description": "`rel=next`: the next page."}},
            "content": {"application/json": {"example": [examples.QUEUED_RUN]}},
        },
        **declared(InvalidRequest),
    },
)
def list_all(
    response: Response,
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Runs per page.")] = 50,
    before: Annotated[
        str | None, Query(pattern=_ID_PATTERN, description="Only runs older than the one with this id.")
    ] = None,
    status: Annotated[RunStatus | None, Query(description="Only runs in this state.")] = None,
) -> list[RunView]:
    """All runs, whoever started them."""
    found = list_runs(store, limit=limit + 1, before=before, status=status)
    if len(found) > limit:
        only = f"&status={status}" if status else ""
        next_page = f"/api/runs?limit={limit}&before={found[limit - 1].id}{only}"
        response.headers["Link"] = f'<{next_page}>; rel="next"'
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


@router.get(
    "/runs/{run_id}/events",
    summary="The progress of a run",
    tags=["runs"],
    responses={
        200: {"content": {"application/json": {"example": [examples.BATCH_EVENT]}}},
        **declared(InvalidRequest, NotFound),
    },
)
def list_events(
    run_id: RunId,
    store: StoreDep,
    after: Annotated[int, Query(ge=0, le=_MAX_SEQ, description="Only events numbered above this.")] = 0,
) -> list[RunEventView]:
    """Its events, oldest first; ask again with `after` set to the last `seq` for what is new."""
    get_run(store, run_id)
    return [
        RunEventView(
            seq=event.seq, kind=event.kind, payload=event.payload, created_at=event.created_at.isoformat()
        )
        for event in events_after(store, run_id, after)
    ]
