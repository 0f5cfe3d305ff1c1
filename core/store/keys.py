"""API keys: made once, shown once, kept only as a digest.

A key is 256 random bits, so a plain sha256 keeps it safe: there is nothing to guess, and the slow hashes
that protect passwords would only add their delay to every request.
"""

import hashlib
import re
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from core.errors import InvalidRequest, NotFound
from core.store import Store
from core.store.database import AWAY
from core.store.ids import new_id
from core.store.tables import ApiKey, utc_now

Scope = Literal["feed", "operate", "admin"]
"""What a key may do; each scope includes those before it."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
_PREFIX = "tms_"
_KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_RESERVED = {"local", "system"}
# A feed may call many times a second, and none of its calls is to wait for a note of that.
_NOTED_EVERY = timedelta(minutes=1)


def includes(held: Scope, needed: Scope) -> bool:
    """Whether a key of one scope may do what needs the other."""
    return SCOPES.index(held) >= SCOPES.index(needed)


def create_key(store: Store, name: str, scope: Scope) -> str:
    """Make a key and return it; it cannot be read again.

    Args:
        store: Where its digest is kept.
        name: Who the key is for; written as actor to all that is done with it, so never used twice.
        scope: `feed`, `operate` or `admin`.

    Raises:
        InvalidRequest: If the name is malformed, reserved or taken.
    """
    _check_name(name)
    plain = _PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    row = ApiKey(id=new_id("key"), name=name, scope=scope, key_sha256=_digest(plain))
    try:
        with store.database.write() as session:
            session.add(row)
    except IntegrityError as error:
        detail = f"There is, or was, a key named {name}. Choose another name: what it did stays on record."
        raise InvalidRequest(detail) from error
    return plain


def list_keys(store: Store) -> list[ApiKey]:
    """Every key ever made, oldest first, revoked ones included."""
    with store.database.read() as session:
        return list(session.scalars(sa.select(ApiKey).order_by(ApiKey.id)))


def revoke_key(store: Store, name: str) -> None:
    """Refuse a key from now on.

    Raises:
        NotFound: If no key that is in force has this name.
    """
    query = sa.select(ApiKey).where(ApiKey.name == name, ApiKey.revoked_at.is_(None))
    with store.database.write() as session:
        row = session.scalar(query)
        if row is None:
            raise NotFound(f"No key named {name} is in force. `python -m core keys list` shows all of them.")
        row.revoked_at = utc_now()


def find_key(store: Store, plain: str) -> ApiKey | None:
    """The key in force that this text is, if any."""
    query = sa.select(ApiKey).where(ApiKey.key_sha256 == _digest(plain), ApiKey.revoked_at.is_(None))
    with store.database.read() as session:
        return session.scalar(query)


def note_use(store: Store, key: ApiKey) -> None:
    """Keep when a key was last used, to the minute; a database that is busy or away keeps nobody out."""
    now = utc_now()
    if key.last_used_at is not None and abs(now - key.last_used_at) < _NOTED_EVERY:
        return
    with suppress(*AWAY), store.database.write() as session:
        session.execute(sa.update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))


def has_keys(store: Store) -> bool:
    """Whether any key is in force."""
    with store.database.read() as session:
        return session.scalar(sa.select(ApiKey.id).where(ApiKey.revoked_at.is_(None)).limit(1)) is not None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise InvalidRequest(
            f"{name[:80]!r} cannot name a key. Use up to 64 letters, digits, dots, dashes, underscores or @, "
            f"starting with a letter or digit, and neither of {', '.join(sorted(_RESERVED))}."
        )


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()
