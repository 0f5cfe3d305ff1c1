"""`/api/checkpoints/{checkpoint_id}/onnx`: a checkpoint for services that do not run PyTorch."""

from typing import Annotated

from fastapi import Path, Query, Request, Response

from api import examples
from api.context import ID_PATTERN, StoreDep
from api.downloads import download
from api.problems import declared
from api.security import scoped
from core.errors import (
    BaseSetInvalid,
    BaseSetMissing,
    BlobStoreUnavailable,
    CheckpointDamaged,
    ExportFailed,
    InvalidRequest,
    NotFound,
    RangeRefused,
)
from core.registry import onnx_exports
from core.registry.onnx_exports import OnnxExport

reading, changing = scoped("feed"), scoped("operate")

CheckpointId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of the checkpoint.")]
_SIDE_HELP = "Side of the square that the file takes, in pixels, a multiple of 32."
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@changing.post(
    "/checkpoints/{checkpoint_id}/onnx",
    summary="Export a checkpoint as ONNX",
    tags=["checkpoints"],
    responses={
        200: {"content": {"application/json": {"example": examples.ONNX_EXPORT}}},
        **declared(
            InvalidRequest, NotFound, CheckpointDamaged, BaseSetMissing, BaseSetInvalid, BlobStoreUnavailable,
            ExportFailed,
        ),
    },
)  # fmt: skip
def export(
    checkpoint_id: CheckpointId,
    store: StoreDep,
    image_size: Annotated[int | None, Query(ge=32, le=4096, multiple_of=32, description=_SIDE_HELP)] = None,
) -> OnnxExport:
    """The answer says how far what the file sees is from what the weights see; it takes half a minute."""
    return onnx_exports.export(store, checkpoint_id, image_size)


@reading.get(
    "/checkpoints/{checkpoint_id}/onnx",
    summary="Download an ONNX export",
    tags=["checkpoints"],
    response_class=Response,
    responses={
        200: {"description": "The file; its `ETag` is its sha256.", "content": _BYTES},
        206: {"description": "The part that `Range` asks for.", "content": _BYTES},
        304: {"description": "It is what `If-None-Match` names."},
        **declared(InvalidRequest, NotFound, RangeRefused),
    },
)
def send(
    request: Request,
    checkpoint_id: CheckpointId,
    store: StoreDep,
    image_size: Annotated[int, Query(ge=32, le=4096, multiple_of=32, description=_SIDE_HELP)],
) -> Response:
    """What the export before made, on the same host."""
    made = onnx_exports.known(store, checkpoint_id, image_size)
    path = onnx_exports.path_of(store, checkpoint_id, image_size)
    return download(request, path, etag=f'"{made.sha256}"', name=f"{checkpoint_id}-{image_size}.onnx")
