"""A caller's key stands for one request, for good: sent again, it names what the first one made."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import IdempotencyConflict
from core.store import Store
from core.store.ids import canonical_digest
from core.store.tables import Batch, IdempotencyKey, Run


@dataclass(frozen=True)
class Made:
    """The id of a run or a batch, and whether this request has made it or an earlier one with its key."""

    id: str
    is_new: bool


def once(store: Store, key: str | None, request: BaseModel, make: Callable[[Session], Run | Batch]) -> Made:
    """Do what is asked for in one transaction, unless a request with the same key has done it.

    Args:
        store: Where keys are kept.
        key: The caller's name for this request; none is always new.
        request: What came with the key.
        make: Adds the run or the batch in the transaction of its session.

    Raises:
        IdempotencyConflict: If the key came with another request before.
    """
    body_digest = canonical_digest(request.model_dump(mode="json"))
    try:
        with store.database.write() as session:
            return _known(session, key, body_digest) or _new(session, key, body_digest, make)
    except IntegrityError:
        # Another process wrote the same key between our look and our commit.
        with store.database.read() as session:
            known = _known(session, key, body_digest)
        if known is None:
            raise
        return known


def _known(session: Session, key: str | None, body_digest: str) -> Made | None:
    row = session.get(IdempotencyKey, key) if key is not None else None
    if row is None:
        return None
    stands_for = row.run_id or row.batch_id or ""
    if row.body_digest != body_digest:
        raise IdempotencyConflict(
            f"The key {key!r} stands for {stands_for}, which had another body. "
            "Use a new key for a new request, or send the same body again."
        )
    return Made(stands_for, is_new=False)


def _new(session: Session, key: str | None, body_digest: str, make: Callable[[Session], Run | Batch]) -> Made:
    made = make(session)
    if key is not None:
        stands_for = {"run_id" if isinstance(made, Run) else "batch_id": made.id}
        session.add(IdempotencyKey(key=key, body_digest=body_digest, **stands_for))
    return Made(made.id, is_new=True)
