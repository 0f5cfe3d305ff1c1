"""Lists that are told page by page."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Response

from api.context import ID_PATTERN

NEXT_PAGE: dict[str, Any] = {
    "Link": {"schema": {"type": "string"}, "description": "`rel=next`: the next page."}
}
Limit = Annotated[int, Query(ge=1, le=200, description="Entries per page.")]
Before = Annotated[
    str | None, Query(pattern=ID_PATTERN, description="Only entries older than the one with this id.")
]


def promise_next(response: Response, address: str, query: Mapping[str, Any]) -> None:
    """Tell in the header `Link` where the next page is; what of the query is empty is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    response.headers["Link"] = f'<{address}?{urlencode(given)}>; rel="next"'
