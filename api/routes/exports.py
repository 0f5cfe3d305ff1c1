"""`GET /api/export`: samples with their newest boxes, as a download that is made while it is read."""

from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.responses import StreamingResponse

from api.context import ID_PATTERN, StoreDep
from api.problems import declared
from api.security import scoped
from core.errors import BaselineMissing, InvalidRequest, NotFound
from core.feedback.exports import JSON, ZIP, ExportFormat, Selection
from core.jobs.exchange import export_samples

router = scoped("operate")

Status = Literal["pending", "approved", "rejected"]
SampleId = Annotated[str, Query(pattern=ID_PATTERN)]
_MAX_SAMPLES = 1_000
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A zip; of COCO without images, JSON.",
        "content": {ZIP: _BINARY, JSON: {"schema": {"type": "object"}}},
        "headers": {
            "Content-Disposition": {"schema": {"type": "string"}, "description": "With a file name."}
        },
    },
    **declared(NotFound, InvalidRequest, BaselineMissing),
}


@router.get(
    "/export",
    summary="Export samples with their newest boxes",
    tags=["feedback"],
    response_class=StreamingResponse,
    responses=_RESPONSES,
)
def export(
    store: StoreDep,
    format: Annotated[
        ExportFormat, Query(description="`yolo`: a zip to train with; `coco`: a zip with JSON.")
    ],
    images: Annotated[bool, Query(description="`false`: COCO as JSON alone.")] = True,
    batch: Annotated[str | None, Query(pattern=ID_PATTERN, description="Only of this batch.")] = None,
    status: Annotated[
        list[Status] | None, Query(description="Only in these states; pending and approved if left out.")
    ] = None,
    class_name: Annotated[
        str | None, Query(alias="class", description="Only with a box of this class.")
    ] = None,
    sample: Annotated[
        list[SampleId] | None,
        Query(max_length=_MAX_SAMPLES, description="These samples, whatever else is said."),
    ] = None,
) -> StreamingResponse:
    """The same selection makes the same file, and it can be imported again without loss of a box."""
    selection = Selection(tuple(sample or ()), batch, tuple(status or Selection.statuses))
    made = export_samples(store, selection, format, class_name=class_name, with_images=images)
    headers = {"Content-Disposition": f'attachment; filename="{made.file_name}"'}
    return StreamingResponse(made.chunks, media_type=made.media_type, headers=headers)
