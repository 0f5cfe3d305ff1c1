"""`/api/model`: what is live, for inference services and for those who change it."""

import hashlib
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime

from api import examples
from api.context import StoreDep
from api.downloads import download, not_modified
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import (
    BlobStoreUnavailable,
    ChampionChanged,
    CheckpointDamaged,
    DiskFull,
    InvalidRequest,
    NoEarlierChampion,
    NotFound,
    OverrideNeeded,
    PublishFailed,
    RangeRefused,
)
from core.registry import checkpoints, handover, ledger, promotion
from core.registry.handover import HandoverState, ServiceView
from core.registry.ledger import LedgerView, PublishedModel
from core.registry.published import PUBLISHED_WEIGHTS
from core.schemas import AckRequest, PromoteRequest, RollbackRequest

reading, changing = scoped("feed"), scoped("operate")

# The largest number that every database takes as an integer.
_MAX_ENTRY_ID = 2**31 - 1
_MODEL = {"content": {"application/json": {"example": examples.PUBLISHED_MODEL}}}
_KNOWN: dict[int | str, dict[str, Any]] = {304: {"description": "It is what `If-None-Match` names."}}
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_MOMENT_HELP = "A moment with its zone, ISO 8601: `2026-01-12T09:30:00Z`."


@reading.get(
    "/model",
    summary="What is live",
    tags=["model"],
    response_model=PublishedModel,
    responses={200: _MODEL, **_KNOWN, **declared(NotFound)},
)
def tell_model(request: Request, store: StoreDep) -> Response:
    """Its manifest. Ask with `If-None-Match` as often as you like: as long as nothing changed, it is 304."""
    content = ledger.live_now(store).model_dump(mode="json")
    answer = JSONResponse(content, headers={"Cache-Control": "no-cache"})
    answer.headers["ETag"] = etag = f'"{hashlib.sha256(bytes(answer.body)).hexdigest()[:32]}"'
    return not_modified(request, etag) or answer


@reading.get(
    "/model/weights",
    summary="The weights that are live",
    tags=["model"],
    response_class=Response,
    responses={
        200: {"description": "The file; its `ETag` is its sha256.", "content": _BYTES},
        206: {"description": "The part that `Range` asks for.", "content": _BYTES},
        **_KNOWN,
        **declared(NotFound, RangeRefused, CheckpointDamaged, BlobStoreUnavailable, DiskFull),
    },
)
def send_weights(request: Request, store: StoreDep) -> Response:
    """A YOLO checkpoint. A download that broke off goes on with `Range` and `If-Range`."""
    live = checkpoints.get(store, ledger.live_now(store).id)
    path = checkpoints.verified_weights(store, live)
    return download(request, path, etag=f'"{live.sha256}"', name=PUBLISHED_WEIGHTS)


@reading.get(
    "/model/at",
    summary="What was live at a moment",
    tags=["model"],
    responses={200: _MODEL, **declared(InvalidRequest, NotFound)},
)
def tell_model_at(
    store: StoreDep, time: Annotated[AwareDatetime, Query(description=_MOMENT_HELP)]
) -> PublishedModel:
    """By the clocks of the hosts that published."""
    return ledger.live_at(store, time)


@reading.get(
    "/model/ledger",
    summary="Promotions and rollbacks, newest first",
    tags=["model"],
    responses={
        200: {"content": {"application/json": {"example": [examples.LEDGER_ENTRY]}}},
        **declared(InvalidRequest),
    },
)
def tell_ledger(
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Entries per page.")] = 50,
    before: Annotated[
        int | None, Query(ge=1, le=_MAX_ENTRY_ID, description="Only entries numbered below this.")
    ] = None,
) -> list[LedgerView]:
    """All that was ever live. For the next page send the last `id` as `before`."""
    return ledger.entries(store, limit=limit, before=before)


@reading.post(
    "/model/ack",
    summary="Say which weights you serve",
    tags=["model"],
    responses={
        200: {"content": {"application/json": {"example": examples.SERVICE}}},
        **declared(InvalidRequest),
    },
)
def acknowledge(body: AckRequest, store: StoreDep, actor: ActorDep) -> ServiceView:
    """For inference services: after each load, and now and then as a sign of life."""
    return handover.acknowledge(store, body.sha256, actor=actor.name, service=body.service)


@reading.get(
    "/model/services",
    summary="Who serves which weights",
    tags=["model"],
    responses={200: {"content": {"application/json": {"example": examples.HANDOVER}}}},
)
def tell_services(store: StoreDep) -> HandoverState:
    """What is published, and what each service said last that it serves."""
    return handover.state(store)


@changing.post(
    "/model/promote",
    summary="Make a checkpoint the champion",
    tags=["model"],
    responses={
        200: _MODEL,
        **declared(
            InvalidRequest, NotFound, ChampionChanged, OverrideNeeded, PublishFailed, CheckpointDamaged,
            BlobStoreUnavailable, DiskFull,
        ),
    },
)  # fmt: skip
def promote(body: PromoteRequest, store: StoreDep, actor: ActorDep) -> PublishedModel:
    """The answer is what is live then. Asking again for what is live changes nothing."""
    return promotion.promote(store, actor=actor.name, **body.model_dump())


@changing.post(
    "/model/rollback",
    summary="Make an earlier champion the champion again",
    tags=["model"],
    responses={
        200: _MODEL,
        **declared(
            InvalidRequest, NotFound, ChampionChanged, NoEarlierChampion, PublishFailed, CheckpointDamaged,
            BlobStoreUnavailable, DiskFull,
        ),
    },
)  # fmt: skip
def roll_back(body: RollbackRequest, store: StoreDep, actor: ActorDep) -> PublishedModel:
    """The answer is what is live then, also where its files were damaged."""
    return promotion.roll_back(store, actor=actor.name, **body.model_dump())
