"""Files for callers who may have them already, or want only a part."""

import re
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import FileResponse

from core.errors import RangeRefused

_PART = re.compile(r"(\d{1,18})-(\d{0,18})|-(\d{1,18})")


def not_modified(request: Request, etag: str) -> Response | None:
    """The answer 304 if the caller has what has this ETag, else none."""
    known = request.headers.get("if-none-match", "")
    tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
    return Response(status_code=304, headers=_headers(etag)) if tags & {etag, "*"} else None


def download(request: Request, path: Path, *, etag: str, name: str) -> Response:
    """A file, or the part of it that the caller asks for, or 304.

    Args:
        request: With `Range`, `If-Range` and `If-None-Match`, if the caller sends them.
        path: The file; it is not changed in place.
        etag: Names its content.
        name: What the caller should call it.

    Raises:
        RangeRefused: If the asked range lies outside the file.
    """
    if (known := not_modified(request, etag)) is not None:
        return known
    if request.headers.get("if-range", etag) == etag:
        _check_range(request.headers.get("range"), path.stat().st_size)
    return FileResponse(path, media_type="application/octet-stream", filename=name, headers=_headers(etag))


def _headers(etag: str) -> dict[str, str]:
    # Kept, and asked for anew each time: what is live may change at any moment.
    return {"ETag": etag, "Cache-Control": "no-cache"}


def _check_range(header: str | None, size_bytes: int) -> None:
    if header is None:
        return
    unit, _, parts = header.partition("=")
    if unit.strip() != "bytes" or not all(_is_within(part.strip(), size_bytes) for part in parts.split(",")):
        raise RangeRefused(f"Ask for bytes within 0 to {size_bytes - 1}, as in `Range: bytes=0-1023`.")


def _is_within(part: str, size_bytes: int) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    first, last, from_end = match.groups()
    if from_end is not None:
        return int(from_end) > 0
    return int(first) < size_bytes and (not last or int(first) <= int(last))
