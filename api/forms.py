"""Bodies that are files, or multipart: files of a form go to disk, and are gone when the call is over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core.errors import InvalidRequest

# Each may stay in memory up to 1 MiB.
MAX_FILES = 200
_MAX_FIELDS = 20
_BROKE_OFF = "The body broke off. Send it again."


def is_form(request: Request) -> bool:
    """Whether the body is multipart."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def read_body(request: Request) -> bytes:
    """A body that is a file.

    Raises:
        InvalidRequest: If the caller goes away before its end.
    """
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise InvalidRequest(_BROKE_OFF) from error


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[FormData]:
    """The fields and files of a body.

    Raises:
        InvalidRequest: If it is not multipart, damaged, or has too many files.
    """
    if not is_form(request):
        raise InvalidRequest("The body has to be multipart/form-data; curl sends it with -F.")
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=_MAX_FIELDS)
    except ClientDisconnect as error:
        raise InvalidRequest(_BROKE_OFF) from error
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise InvalidRequest(f"The multipart body cannot be read: {error.detail}") from error
    try:
        yield form
    finally:
        await form.close()
