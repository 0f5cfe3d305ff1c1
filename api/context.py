"""What every route may ask for."""

from typing import Annotated

from fastapi import Depends, Request

from core.store import Store


def store_of(request: Request) -> Store:
    """The store that the running app holds open."""
    store: Store = request.app.state.store
    return store


StoreDep = Annotated[Store, Depends(store_of)]
