"""Which checkpoints have seen a sample, or an image."""

from typing import Annotated, Any

from fastapi import Path

from api import examples
from api.context import ID_PATTERN, StoreDep
from api.problems import declared
from api.security import scoped
from core.errors import InvalidRequest, NotFound
from core.registry import provenance
from core.registry.provenance import Sighting

router = scoped("feed")

_SEEN: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": examples.SIGHTINGS}}}
}
_SHA256_HELP = "sha256 of the file in hex: as it was posted, as it is kept, or as it lies in the base set."


@router.get(
    "/samples/{sample_id}/checkpoints",
    summary="The checkpoints that have seen a sample",
    tags=["checkpoints"],
    responses={**_SEEN, **declared(InvalidRequest, NotFound)},
)
def saw_sample(
    sample_id: Annotated[str, Path(pattern=ID_PATTERN, description="Id of the sample.")], store: StoreDep
) -> list[Sighting]:
    """Newest first: those whose run saw it, and those that have it from an ancestor."""
    return provenance.saw_sample(store, sample_id)


@router.get(
    "/images/{sha256}/checkpoints",
    summary="The checkpoints that have seen an image",
    tags=["checkpoints"],
    responses={**_SEEN, **declared(InvalidRequest)},
)
def saw_image(
    sha256: Annotated[str, Path(pattern=r"^[0-9A-Fa-f]{64}$", description=_SHA256_HELP)], store: StoreDep
) -> list[Sighting]:
    """Feedback or an image of the base set, newest checkpoint first; an empty list if none has seen it."""
    return provenance.saw_image(store, sha256)
