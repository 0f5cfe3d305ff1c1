"""`POST /api/retrain`: a run on all feedback that was approved."""

from typing import Annotated, Any

from fastapi import Body, Response

from api import examples
from api.context import IdempotencyKey, StoreDep
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import (
    BaseSetInvalid,
    BaseSetMissing,
    ClassMapMismatch,
    DatabaseUnavailable,
    IdempotencyConflict,
    InvalidRequest,
    NothingApproved,
)
from core.jobs import service
from core.jobs.preview import preview_retrain
from core.schemas import DatasetPreview, RetrainRequest, RunView
from core.store.run_views import get_run

router = scoped("operate")

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": DatasetPreview,
        "description": "Of a dry run: what would be learned from.",
        "content": {"application/json": {"example": examples.PREVIEW}},
    },
    202: {
        "model": RunView,
        "description": "The run is queued; ask for it at `Location`.",
        "headers": {"Location": {"schema": {"type": "string"}, "description": "Address of the run."}},
        "content": {"application/json": {"example": examples.QUEUED_RETRAIN}},
    },
    **declared(
        InvalidRequest, IdempotencyConflict, NothingApproved, BaseSetMissing, BaseSetInvalid,
        ClassMapMismatch, DatabaseUnavailable,
    ),
}  # fmt: skip


@router.post(
    "/retrain",
    summary="Fine-tune the detector with all approved feedback",
    tags=["fine-tune"],
    status_code=202,
    response_model=RunView | DatasetPreview,
    responses=_RESPONSES,
)
def retrain(
    response: Response,
    store: StoreDep,
    actor: ActorDep,
    body: Annotated[RetrainRequest, Body(openapi_examples=examples.RETRAIN_REQUESTS)],
    idempotency_key: IdempotencyKey = None,
) -> RunView | DatasetPreview:
    """Queue a run on every approved sample whose newest boxes no champion has learned from.

    Which samples these are, is decided when the run begins; what is approved later waits for the next one.
    """
    if body.dry_run:
        response.status_code = 200
        return preview_retrain(store, body)
    submitted = service.submit_retrain(
        store, body, source="api", actor=actor.name, idempotency_key=idempotency_key
    )
    response.headers["Location"] = f"/api/runs/{submitted.run_id}"
    return get_run(store, submitted.run_id)
