"""The image of a sample and its thumbnail, as they are stored."""

from typing import Annotated, Any

from fastapi import Header, Query, Response

from api.context import SampleId, StoreDep
from api.problems import declared
from api.security import scoped
from core.errors import BlobDamaged, BlobStoreUnavailable, InvalidRequest, NotFound
from core.feedback.samples import image_sha256
from core.store import Store

router = scoped("operate")

# Intake stores nothing else.
_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
_FOR_GOOD, _ASK_AGAIN = "private, max-age=31536000, immutable", "private, no-cache"
_SHA256_HELP = "As the sample tells it; with it the answer may be kept for good, because it never changes."
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes as they are stored.",
        "headers": {
            "ETag": {"schema": {"type": "string"}, "description": "The sha256 of the bytes."},
            "Cache-Control": {"schema": {"type": "string"}},
        },
        "content": dict.fromkeys(_MEDIA_TYPES.values(), _BINARY),
    },
    304: {"description": "What you have is the newest."},
    **declared(InvalidRequest, NotFound, BlobDamaged, BlobStoreUnavailable),
}

Sha256 = Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description=_SHA256_HELP)]
IfNoneMatch = Annotated[str | None, Header(description="`ETag` of what you have.")]


@router.get(
    "/samples/{sample_id}/image",
    summary="The image of a sample",
    tags=["review"],
    response_class=Response,
    responses=_IMAGE,
)
def get_image(
    sample_id: SampleId, store: StoreDep, sha256: Sha256 = None, if_none_match: IfNoneMatch = None
) -> Response:
    """Upright, 8 bits a channel, PNG or JPEG: what boxes are drawn on and what is learned from."""
    return _stored(store, image_sha256(store, sample_id, is_thumbnail=False), sha256, if_none_match)


@router.get(
    "/samples/{sample_id}/thumbnail",
    summary="The thumbnail of a sample",
    tags=["review"],
    response_class=Response,
    responses=_IMAGE,
)
def get_thumbnail(
    sample_id: SampleId, store: StoreDep, sha256: Sha256 = None, if_none_match: IfNoneMatch = None
) -> Response:
    """The image in small; the image itself where no thumbnail was made."""
    return _stored(store, image_sha256(store, sample_id, is_thumbnail=True), sha256, if_none_match)


def _stored(store: Store, found: str, asked: str | None, if_none_match: str | None) -> Response:
    tag = f'"{found}"'
    headers = {
        "ETag": tag,
        # A repair may give the sample another image; what has the same sha256 never changes.
        "Cache-Control": _FOR_GOOD if asked == found else _ASK_AGAIN,
        "X-Content-Type-Options": "nosniff",
    }
    if tag in (if_none_match or ""):
        return Response(status_code=304, headers=headers)
    content = store.blobs.get(found)
    return Response(content, media_type=_media_type(content), headers=headers)


def _media_type(content: bytes) -> str:
    known = (kind for start, kind in _MEDIA_TYPES.items() if content.startswith(start))
    return next(known, "application/octet-stream")
