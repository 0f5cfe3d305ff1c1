"""Every error as RFC 9457 problem+json: what happened, where, and what to do next.

What a caller sent is never echoed, but for the names of unknown fields.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.exceptions import HTTPException

from api.limits import too_large
from api.log import log
from core.errors import (
    DatabaseUnavailable,
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    TmsError,
    Unauthorized,
)
from core.store.ids import new_id

MEDIA_TYPE = "application/problem+json"
_ERRORS_SHOWN = 100
_POINTER_CHARACTERS = 200

_PLAIN_WORDS = {
    "extra_forbidden": "This field is unknown; remove it or correct its name.",
    "missing": "This is missing.",
    "model_attributes_type": "A JSON object is needed here, and for a body `Content-Type: application/json`.",
}
_HTTP_ERRORS: dict[int, tuple[type[TmsError], str]] = {
    400: (InvalidRequest, "The body cannot be read as JSON: it is not UTF-8, or nested too deeply."),
    401: (Forbidden, "This file may not be read."),
    404: (NotFound, "Nothing lives at this address. GET /openapi.json lists every address."),
    405: (MethodNotAllowed, "Use a method that the Allow header names."),
}


class Problem(BaseModel):
    """An error as RFC 9457 describes it; some codes add members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URN of the kind of problem.")
    title: str = Field(description="The kind of problem in a few words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened, where, and what to do next.")
    code: str = Field(description="Stable name of the problem, for programs.")
    instance: str = Field(description="What it happened to.")


def answer(error: TmsError, request: Request, headers: dict[str, str] | None = None) -> JSONResponse:
    """The problem document of an error."""
    extra = error.extra
    document = {
        **extra,
        "type": f"urn:problem-type:tms:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "instance": f"/api/runs/{extra['run_id']}" if "run_id" in extra else request.url.path,
    }
    challenge = {"WWW-Authenticate": 'Bearer realm="tms"'} if isinstance(error, Unauthorized) else {}
    return JSONResponse(document, error.status, {**challenge, **(headers or {})}, MEDIA_TYPE)


def answer_unexpected(error: Exception, request: Request) -> JSONResponse:
    """The answer to an exception that nobody foresaw; the log has it under the answer's incident id."""
    incident = new_id("incident")
    log.error("incident", incident=incident, path=request.url.path, exc_info=error)
    if isinstance(error, OperationalError | InterfaceError):
        detail = f"The database does not answer. Check it, then try again; the log has {incident}."
        return answer(DatabaseUnavailable(detail, incident=incident), request)
    detail = f"An unexpected error; the log has it as {incident} (logs/api.log). Nothing was lost."
    return answer(TmsError(detail, incident=incident), request)


def handle_problems(app: FastAPI) -> None:
    """Let the app answer every foreseen error as problem+json."""
    app.add_exception_handler(TmsError, _on_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _on_invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _on_http_error)  # type: ignore[arg-type]


def declared(*kinds: type[TmsError]) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that may answer with these errors."""
    statuses = sorted({kind.status for kind in kinds})
    return {status: _declaration([kind for kind in kinds if kind.status == status]) for status in statuses}


def _declaration(kinds: Sequence[type[TmsError]]) -> dict[str, Any]:
    described = "; ".join(f"`{kind.code}`: {kind.title}" for kind in kinds)
    return {"model": Problem, "description": described}


async def _on_error(request: Request, error: TmsError) -> JSONResponse:
    return answer(error, request)


async def _on_http_error(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == PayloadTooLarge.status:
        return answer(PayloadTooLarge(too_large(request.url.path, request.app.state.settings)), request)
    kind, detail = _HTTP_ERRORS.get(error.status_code, (TmsError, str(error.detail)))
    return answer(kind(detail), request, dict(error.headers or {}))


async def _on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    found = error.errors()
    listed = [_described(entry) for entry in found[:_ERRORS_SHOWN]]
    first = listed[0]
    place = f"{first['pointer']} of the {first['in']}" if first["pointer"] else f"The {first['in']}"
    more = f" Faults in all: {len(found)}; `errors` lists them." if len(found) > 1 else ""
    detail = f"{place}: {first['message']}{more}"
    return answer(InvalidRequest(detail, errors=listed, error_count=len(found)), request)


def _described(entry: dict[str, Any]) -> dict[str, str]:
    if entry["type"] == "json_invalid":
        message = f"This is not JSON: {entry['ctx']['error']} at character {entry['loc'][1]}."
        return {"in": "body", "pointer": "", "message": message}
    place, *path = entry["loc"]
    message = _PLAIN_WORDS.get(entry["type"], f"{entry['msg']}.")
    return {"in": str(place), "pointer": _pointer(path), "message": message}


def _pointer(path: Sequence[str | int]) -> str:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "".join(f"/{step[:_POINTER_CHARACTERS]}" for step in steps)
