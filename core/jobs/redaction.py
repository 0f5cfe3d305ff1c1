"""Takes out of any text what nobody else may read: secrets of this installation, and those in addresses."""

import json
import os
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from core.store import Store
from core.store.tables import Webhook

REDACTED = "…"
_SHORTEST = 6
"""A shorter secret is in half of all words: what would be left could not be read."""
_NAMES_A_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
# An address ends where the white space begins. What is behind it in the line is rather lost than kept.
_USER = re.compile(r"(\w://)[^\s/?#]*@")
_QUERY = re.compile(r"(\w://[^\s?#]*)[?#]\S*")
_KEY = re.compile(r"\b(?:tms|whsec)_[\w-]{8,}")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)


class Redactor:
    """Knows the secrets of a store and of its process."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take what must not be told, as it is."""
        spellings = {form for secret in secrets if len(secret) >= _SHORTEST for form in _spellings(secret)}
        # The longest first: one may be a part of another.
        self._known = sorted(spellings, key=len, reverse=True)

    @classmethod
    def of(cls, store: Store) -> "Redactor":
        """One for all that may be found in the logs and the database of this store."""
        return cls([*_of_database(store), *_of_environment(), *_of_webhooks(store)])

    def text(self, text: str) -> str:
        """The text without secrets, and its addresses without user, query string and fragment."""
        for secret in self._known:
            text = text.replace(secret, REDACTED)
        text = _QUERY.sub(rf"\1?{REDACTED}", _USER.sub(rf"\1{REDACTED}@", text))
        return _BEARER.sub(rf"\1 {REDACTED}", _KEY.sub(REDACTED, text))

    def value(self, value: Any) -> Any:
        """The same for every text in what JSON can hold."""
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self.value(part) for part in value]
        return self.text(value) if isinstance(value, str) else value


def _spellings(secret: str) -> set[str]:
    """As it is, as JSON writes it, and as an address does."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, "")}


def _of_database(store: Store) -> list[str]:
    url = sa.make_url(store.settings.database)
    in_query = [value for name, value in url.query.items() if _NAMES_A_SECRET.search(name)]
    return [text for text in (url.password, *in_query) if isinstance(text, str)]


def _of_environment() -> list[str]:
    return [value for name, value in os.environ.items() if _NAMES_A_SECRET.search(name)]


def _of_webhooks(store: Store) -> list[str]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(Webhook.secret)))
