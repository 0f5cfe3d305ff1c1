"""`POST /api/images`: an image file from a caller that has no web host to serve it from."""

from typing import Any

import anyio.to_thread
from fastapi import Request
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile

from api import examples
from api.context import StoreDep
from api.forms import is_form, read_body, read_form
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import BlobStoreUnavailable, DiskFull, InvalidRequest, UnusableImage
from core.feedback import uploads
from core.feedback.images import normalise
from core.feedback.reasons import Refusal
from core.store import Store

router = scoped("feed", max_body_size=None)

# A decoded image takes up to 150 MB at the default pixel limit, its conversion as much again.
_DECODERS = anyio.CapacityLimiter(2)
_FILE = {"type": "string", "format": "binary"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The image file, as it is or as the one file of a form: JPEG, PNG, TIFF, BMP or WebP.",
        "content": {
            "application/octet-stream": {"schema": _FILE},
            "image/*": {"schema": _FILE},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
            },
        },
    }
}


class UploadedImage(BaseModel):
    """An image that can be posted as feedback."""

    image_url: str = Field(description="Its address, for `image_url` of a feedback image.")
    sha256: str
    width: int = Field(description="Of the upright image, in pixels: boxes are in these.")
    height: int


@router.post(
    "/images",
    summary="Upload an image that has no address of its own",
    tags=["feedback"],
    status_code=201,
    openapi_extra=_BODY,
    responses={
        201: {"content": {"application/json": {"example": examples.UPLOADED_IMAGE}}},
        **declared(InvalidRequest, UnusableImage, DiskFull, BlobStoreUnavailable),
    },
)
async def upload(request: Request, store: StoreDep, actor: ActorDep) -> UploadedImage:
    """Keep an image file; it becomes feedback when it is posted under the address in the answer.

    The same file again has the same address. A file that intake would put aside is refused at once.
    """
    content = await _content(request)
    return await anyio.to_thread.run_sync(_keep, store, content, actor.name, limiter=_DECODERS)


async def _content(request: Request) -> bytes:
    if not is_form(request):
        return await read_body(request)
    async with read_form(request) as form:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise InvalidRequest(f"The form has {len(files)} files; send one image a call.")
        return await files[0].read()


def _keep(store: Store, content: bytes, actor: str) -> UploadedImage:
    try:
        image = normalise(content, store.settings.image_max_pixels)
    except Refusal as refusal:
        detail = f"{refusal.detail} {refusal.repair}"
        raise UnusableImage(detail, reason=refusal.code, repair=refusal.repair) from refusal
    address = uploads.keep(store, content, actor)
    sha256 = address.removeprefix(uploads.SCHEME)
    return UploadedImage(image_url=address, sha256=sha256, width=image.width_px, height=image.height_px)
