"""What every route may ask for."""

from typing import Annotated

from fastapi import Depends, Header, Path, Request

from core.store import Store

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
SampleId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of the sample.")]
RunId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of the run.")]
_KEY_HELP = (
    "Any text of the caller; the same key with the same body stands for the same request, however often sent."
)
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=200, description=_KEY_HELP)]


def store_of(request: Request) -> Store:
    """The store that the running app holds open."""
    store: Store = request.app.state.store
    return store


StoreDep = Annotated[Store, Depends(store_of)]
