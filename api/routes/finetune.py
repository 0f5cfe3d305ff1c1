"""`POST /api/finetune`: a feedback batch in, better weights out."""

from typing import Annotated, Any

import anyio
from fastapi import Body, Header, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from api import examples
from api.context import IdempotencyKey, StoreDep
from api.preference import Preference, parse_prefer
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import (
    ApiStopping,
    BaselineMissing,
    BaselineUnreadable,
    BaseSetInvalid,
    BaseSetMissing,
    BlobDamaged,
    BlobStoreUnavailable,
    CheckpointDamaged,
    ClassMapMismatch,
    DatabaseUnavailable,
    DeviceUnavailable,
    DiskFull,
    IdempotencyConflict,
    InvalidRequest,
    NoUsableImages,
    OutOfMemory,
    ResumeStateDamaged,
    RunCancelled,
    RunnerDied,
    TmsError,
    TrainingFailed,
    restore_error,
)
from core.jobs import service
from core.jobs.preview import preview
from core.registry import publish
from core.schemas import DatasetPreview, FineTuneRequest, FineTuneSummary, RunView
from core.store import Store
from core.store.run_views import get_run
from core.store.states import ENDED

router = scoped("feed")

_POLL_S = 0.25
_RETRY_AFTER_S = 2
_PREFER_HELP = (
    "RFC 7240: `respond-async` answers 202 at once, `wait=N` answers 202 when the run has not ended after N "
    "seconds. Without it the call waits for the end of the run."
)
_ACCEPTED: dict[str, Any] = {
    "model": RunView,
    "description": "The run goes on; ask for it at `Location`.",
    "headers": {
        "Location": {"schema": {"type": "string"}, "description": "Address of the run."},
        "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until asking makes sense."},
        "Preference-Applied": {"schema": {"type": "string"}, "description": "What of `Prefer` was honoured."},
    },
    "content": {"application/json": {"example": examples.QUEUED_RUN}},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"examples": examples.FINE_TUNE_ANSWERS}}},
    202: _ACCEPTED,
    **declared(
        RunCancelled, InvalidRequest, IdempotencyConflict, NoUsableImages, DeviceUnavailable, TmsError,
        TrainingFailed, OutOfMemory, RunnerDied, ResumeStateDamaged, BlobDamaged, CheckpointDamaged,
        BaselineMissing, BaselineUnreadable, BaseSetMissing, BaseSetInvalid, ClassMapMismatch,
        BlobStoreUnavailable, DatabaseUnavailable, ApiStopping, DiskFull,
    ),
}  # fmt: skip


@router.post(
    "/finetune",
    summary="Fine-tune the detector with a feedback batch",
    tags=["fine-tune"],
    response_model=FineTuneSummary | DatasetPreview,
    response_description="The run succeeded; or, of a dry run, what would be learned from.",
    responses=_RESPONSES,
)
async def finetune(
    request: Request,
    response: Response,
    store: StoreDep,
    actor: ActorDep,
    body: Annotated[FineTuneRequest, Body(openapi_examples=examples.FINE_TUNE_REQUESTS)],
    prefer: Annotated[list[str] | None, Header(description=_PREFER_HELP)] = None,
    idempotency_key: IdempotencyKey = None,
) -> FineTuneSummary | DatasetPreview | Response:
    """Start a run with these images and answer with its outcome.

    The run goes on whether or not the caller waits for it.
    """
    if body.dry_run:
        return await run_in_threadpool(preview, store, body)
    run_id = await run_in_threadpool(_submit, store, body, actor.name, idempotency_key)
    preference = parse_prefer(prefer or [])
    run = await _wait(request, store, run_id, preference.wait_s)
    response.headers.update(preference.headers)
    if run.status not in ENDED:
        return _accepted(run, preference)
    return await run_in_threadpool(_outcome, store, run)


def _submit(store: Store, body: FineTuneRequest, actor: str, idempotency_key: str | None) -> str:
    return service.submit(store, body, source="api", actor=actor, idempotency_key=idempotency_key).run_id


async def _wait(request: Request, store: Store, run_id: str, wait_s: float | None) -> RunView:
    """The run when it ended, when `wait_s` seconds are over, or when the caller went away."""
    deadline = None if wait_s is None else anyio.current_time() + wait_s
    while True:
        run = await run_in_threadpool(get_run, store, run_id)
        is_over = deadline is not None and anyio.current_time() >= deadline
        if run.status in ENDED or is_over or await request.is_disconnected():
            return run
        if request.app.state.stopping.is_set():
            raise ApiStopping(
                f"The run goes on. Ask for it at /api/runs/{run_id} once the API is back.", run_id=run_id
            )
        await anyio.sleep(_POLL_S)


def _outcome(store: Store, run: RunView) -> FineTuneSummary:
    try:
        return _summary(store, run)
    except TmsError as error:
        error.extra["run_id"] = run.id
        raise


def _summary(store: Store, run: RunView) -> FineTuneSummary:
    if run.summary is not None:
        # Another host may have worked on the run; the caller reads the weights on this one.
        publish.follow(store)
        return run.summary.model_copy(update={"weights_path": str(publish.published_path(store))})
    if run.status == "cancelled":
        raise RunCancelled(f"The run {run.id} was cancelled. Nothing was published.")
    raise restore_error(run.error or TmsError("The run failed and left no reason; see its log.").as_dict())


def _accepted(run: RunView, preference: Preference) -> JSONResponse:
    headers = {"Location": f"/api/runs/{run.id}", "Retry-After": str(_RETRY_AFTER_S)}
    return JSONResponse(run.model_dump(mode="json"), 202, headers | preference.headers)
