"""`POST /api/imports`: labelled images from where annotators work, as one feedback batch."""

from typing import IO, Annotated, Any, cast

from fastapi import Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from api import examples
from api.context import StoreDep
from api.forms import read_form
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import BaselineMissing, BlobStoreUnavailable, DiskFull, InvalidRequest
from core.feedback.imports.inspection import ImportReport
from core.jobs.exchange import import_batch
from core.schemas import ImportOptions
from core.store import Store

router = scoped("operate", max_body_size=None)

_FILE = {"type": "string", "format": "binary"}
_OPTIONS = ImportOptions.model_fields
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["archive"],
                    "properties": {
                        "archive": {
                            "type": "array",
                            "items": _FILE,
                            "minItems": 1,
                            "description": "A zip of images and labels; or, repeated, the single files.",
                        },
                        "annotations": _FILE | {"description": "Labels that are not in the zip."},
                        "mapping": {
                            "type": "string",
                            "description": f"A JSON object. {_OPTIONS['mapping'].description}",
                        },
                        "format": {
                            "enum": ["yolo", "coco", "label_studio", "cvat"],
                            "description": _OPTIONS["format"].description,
                        },
                        "trusted": {"type": "boolean", "description": _OPTIONS["trusted"].description},
                        "note": {"type": "string", "description": _OPTIONS["note"].description},
                    },
                }
            }
        },
    }
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ImportReport, "description": "Of a dry run: what would be taken."},
    201: {
        "description": "The batch was recorded; a worker takes it in.",
        "content": {"application/json": {"example": examples.IMPORT_REPORT}},
    },
    **declared(InvalidRequest, BaselineMissing, DiskFull, BlobStoreUnavailable),
}


@router.post(
    "/imports",
    summary="Import labelled images",
    tags=["feedback"],
    status_code=201,
    openapi_extra=_BODY,
    responses=_RESPONSES,
)
async def import_files(
    request: Request,
    response: Response,
    store: StoreDep,
    actor: ActorDep,
    dry_run: Annotated[bool, Query(description=_OPTIONS["dry_run"].description)] = False,
) -> ImportReport:
    """Take in YOLO, COCO JSON, Label Studio JSON or CVAT for images 1.1, with the images.

    Look at it first with `dry_run=true`: the answer says which classes the names stand for, and what cannot
    be used.
    """
    async with read_form(request) as form:
        options = _options(form, dry_run)
        files = _files(form)
        report = await run_in_threadpool(_import, store, files, options, actor.name)
    response.status_code = 200 if dry_run else 201
    return report


def _options(form: FormData, dry_run: bool) -> ImportOptions:
    fields: dict[str, Any] = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    if "dry_run" in fields:
        raise InvalidRequest("Ask for a dry run in the address: POST /api/imports?dry_run=true.")
    try:
        if "mapping" in fields:
            fields["mapping"] = from_json(fields["mapping"])
        return ImportOptions.model_validate({**fields, "dry_run": dry_run})
    except ValidationError as error:
        found = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)]
        raise RequestValidationError(found) from error
    except ValueError as error:
        raise InvalidRequest(f"/mapping of the body: This is not JSON: {error}.") from error


def _files(form: FormData) -> list[tuple[str, IO[bytes]]]:
    uploads = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
    wrong = sorted({name for name, _ in uploads} - {"archive", "annotations"})
    if wrong or not any(name == "archive" for name, _ in uploads):
        raise InvalidRequest("Send the files in the fields `archive` and, if need be, `annotations`.")
    return [(upload.filename or name, cast(IO[bytes], upload.file)) for name, upload in uploads]


def _import(
    store: Store, files: list[tuple[str, IO[bytes]]], options: ImportOptions, actor: str
) -> ImportReport:
    return import_batch(store, files, options, actor=actor, on_progress=lambda phase, done, total: None)
