"""`/api/comparisons`: two checkpoints held against each other; `/api/pins`: what is always replayed."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, Field

from api.context import ID_PATTERN, StoreDep
from api.problems import declared
from api.security import ActorDep, scoped
from core.dataset import pins
from core.errors import (
    BaseSetInvalid,
    BaseSetMissing,
    CheckpointDamaged,
    ClassMapMismatch,
    ImageJudges,
    InvalidRequest,
    NotFound,
    SeparateWorkFailed,
)
from core.evaluation.image_changes import ImageChanges
from core.jobs import comparing
from core.registry import comparisons
from core.registry.judgement_views import JudgementView, view_of
from core.schemas import CompareRequest, PinRequest
from core.store.tables import PinnedImage

router = scoped("operate")

_Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="sha256 of the image's bytes, in hex.")]


class PinView(BaseModel):
    """An image that every run replays."""

    sha256: str
    actor: str
    reason: str | None
    created_at: datetime = Field(description="When it was pinned.")


@router.post(
    "/comparisons",
    summary="Hold two checkpoints against each other",
    tags=["checkpoints"],
    responses=declared(
        InvalidRequest, NotFound, ClassMapMismatch, BaseSetMissing, BaseSetInvalid, CheckpointDamaged,
        SeparateWorkFailed,
    ),
)  # fmt: skip
def compare(store: StoreDep, body: CompareRequest) -> JudgementView:
    """On today's base test set and holdout.

    What was not scored there yet is scored first, which may take minutes.
    """
    return view_of(comparing.compare(store, body.baseline_id, body.candidate_id))


@router.get(
    "/comparisons/{comparison_id}/images",
    summary="What two checkpoints see differently, image by image",
    tags=["checkpoints"],
    responses=declared(InvalidRequest, NotFound),
)
def changed_images(
    comparison_id: Annotated[str, Path(pattern=ID_PATTERN, description="Id of the comparison.")],
    store: StoreDep,
) -> list[ImageChanges]:
    """The most harmful first; images in which both see the same are left out."""
    return list(comparisons.images_of(store, comparison_id))


@router.get("/pins", summary="List pinned images", tags=["checkpoints"])
def list_pins(store: StoreDep) -> list[PinView]:
    """Newest first."""
    return [_view(row) for row in pins.pins(store)]


@router.put(
    "/pins/{sha256}",
    summary="Have every run replay an image",
    tags=["checkpoints"],
    responses=declared(InvalidRequest, ImageJudges),
)
def pin(sha256: _Sha256, store: StoreDep, actor: ActorDep, body: PinRequest) -> PinView:
    """To pin it again changes nothing. An image that judges is never learned from."""
    return _view(pins.pin(store, sha256, actor=actor.name, reason=body.reason))


@router.delete(
    "/pins/{sha256}",
    summary="Take a pin back",
    tags=["checkpoints"],
    status_code=204,
    responses=declared(InvalidRequest),
)
def unpin(sha256: _Sha256, store: StoreDep) -> None:
    """From the next run on; nothing happens if the image is not pinned."""
    pins.unpin(store, sha256)


def _view(row: PinnedImage) -> PinView:
    return PinView(sha256=row.sha256, actor=row.actor, reason=row.reason, created_at=row.created_at)
