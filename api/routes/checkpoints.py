"""`/api/checkpoints`: all weights that were made, and what each has learned from."""

from typing import Annotated

from fastapi import Path, Query, Response

from api import examples
from api.context import ID_PATTERN, StoreDep
from api.paging import NEXT_PAGE, Before, Limit, promise_next
from api.problems import declared
from api.security import scoped
from core.errors import InvalidRequest, NotFound
from core.registry import checkpoint_views, provenance
from core.registry.checkpoint_views import CheckpointView
from core.registry.provenance import LearnedSample

router = scoped("feed")

# The largest number that every database takes as an integer.
_MAX_OFFSET = 2**31 - 1
CheckpointId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of the checkpoint.")]


@router.get(
    "/checkpoints",
    summary="List checkpoints, newest first",
    tags=["checkpoints"],
    responses={
        200: {"headers": NEXT_PAGE, "content": {"application/json": {"example": [examples.CHECKPOINT]}}},
        **declared(InvalidRequest),
    },
)
def list_all(
    response: Response, store: StoreDep, limit: Limit = 50, before: Before = None
) -> list[CheckpointView]:
    """The baseline and every candidate, whether or not it was published."""
    found = checkpoint_views.list_checkpoints(store, limit=limit + 1, before=before)
    if len(found) > limit:
        promise_next(response, "/api/checkpoints", {"limit": limit, "before": found[limit - 1].id})
    return found[:limit]


@router.get(
    "/checkpoints/{checkpoint_id}",
    summary="One checkpoint",
    tags=["checkpoints"],
    responses={
        200: {"content": {"application/json": {"example": examples.CHECKPOINT}}},
        **declared(InvalidRequest, NotFound),
    },
)
def get_one(checkpoint_id: CheckpointId, store: StoreDep) -> CheckpointView:
    """Where it comes from, how it was made, and whether it is or ever was live."""
    return checkpoint_views.get_checkpoint(store, checkpoint_id)


@router.get(
    "/checkpoints/{checkpoint_id}/samples",
    summary="The feedback that a checkpoint learned from",
    tags=["checkpoints"],
    responses={
        200: {"headers": NEXT_PAGE, "content": {"application/json": {"example": [examples.LEARNED_SAMPLE]}}},
        **declared(InvalidRequest, NotFound),
    },
)
def list_samples(
    response: Response,
    checkpoint_id: CheckpointId,
    store: StoreDep,
    limit: Limit = 50,
    offset: Annotated[int, Query(ge=0, le=_MAX_OFFSET, description="Entries that are left out.")] = 0,
) -> list[LearnedSample]:
    """Each sample with the boxes it had then: what its own run saw, then what its ancestors' runs did."""
    found = provenance.learned_from(store, checkpoint_id, limit=limit + 1, offset=offset)
    if len(found) > limit:
        address = f"/api/checkpoints/{checkpoint_id}/samples"
        promise_next(response, address, {"limit": limit, "offset": offset + limit})
    return found[:limit]
