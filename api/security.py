"""Who may do what: API keys and their scopes, and which hosts and pages may call.

`Guard` refuses, before a body is read, names this server does not answer to, calls from foreign web pages,
and callers without a key. Then the router refuses keys whose scope is too small.
"""

import ipaddress
import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from api.limits import MAX_BODY_BYTES, max_body_bytes, too_large
from api.problems import declared
from core.config import Settings
from core.errors import (
    DatabaseUnavailable,
    Forbidden,
    HostRefused,
    InsecureBinding,
    PayloadTooLarge,
    TmsError,
    Unauthorized,
)
from core.store import Store
from core.store.keys import Scope, find_key, has_keys, includes, note_use

PUBLIC_PATHS = frozenset({"/health", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"})
DEMO_IMAGES = "/demo/feedback"
LOCAL_ACTOR = "local"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_MAKE_A_KEY = "`python -m core keys create NAME --scope feed`"
_BEARER = HTTPBearer(auto_error=False, scheme_name="API key", description=f"Made by {_MAKE_A_KEY}.")


@dataclass(frozen=True)
class Actor:
    """Who calls, as it is written to everything the call does."""

    name: str
    scope: Scope


def authorize(
    needed: SecurityScopes,
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> None:
    """Let pass who has every needed scope.

    Raises:
        Forbidden: If the caller's key has a smaller scope.
    """
    actor = actor_of(request)
    for scope in needed.scopes:
        if not includes(actor.scope, scope):  # type: ignore[arg-type]
            detail = f"The key {actor.name} has the scope {actor.scope}; this needs {scope}. Use such a key."
            raise Forbidden(detail, needed_scope=scope)


def actor_of(request: Request) -> Actor:
    """Who `Guard` found to be calling."""
    actor: Actor = request.state.actor
    return actor


ActorDep = Annotated[Actor, Depends(actor_of)]


def scoped(scope: Scope, max_body_size: int | None = MAX_BODY_BYTES) -> APIRouter:
    """A router under /api whose every route needs a key of at least this scope.

    Args:
        scope: The scope.
        max_body_size: Of each body, in bytes; None leaves that to whoever includes the router.
    """
    errors: tuple[type[TmsError], ...] = (Unauthorized, Forbidden, HostRefused, PayloadTooLarge, TmsError)
    return APIRouter(
        prefix="/api",
        dependencies=[Security(authorize, scopes=[scope])],
        responses=declared(*errors, DatabaseUnavailable),
        # The production client of before may send its JSON without naming the type. That cannot be abused
        # from a foreign page: `Guard` checks the origin.
        strict_content_type=False,
        max_body_size=max_body_size,
    )


class Guard:
    """The gate before every route; all but `PUBLIC_PATHS` and the demo's images need an actor."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap the app that is served under these settings."""
        self.app = app
        self._settings = settings

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Let the request through, or raise what the caller is told."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            check_host(headers, self._settings)
            check_origin(scope["method"], headers)
            check_length(scope["path"], headers, self._settings)
            if not _is_public(scope["path"]):
                actor = await run_in_threadpool(_authenticate, scope, headers)
                scope.setdefault("state", {})["actor"] = actor
        await self.app(scope, receive, send)


def check_host(headers: Headers, settings: Settings) -> None:
    """Refuse foreign names, so that a page whose name was rebound to this address gets nothing.

    Raises:
        HostRefused: If the Host header is none of ours.
    """
    name = _host_name(headers.get("host", ""))
    # A bare address cannot be rebound: a browser sends it only to what it names.
    is_ours = name in _own_names(settings) or _is_loopback(name) or (_is_open(settings) and _is_address(name))
    if not is_ours:
        raise HostRefused("Call this server by localhost, by TMS_API_HOST, or by the host's name or address.")


def check_origin(method: str, headers: Headers) -> None:
    """Refuse a changing call that a foreign web page makes through its reader's browser.

    Raises:
        Forbidden: If the Origin header is not this server.
    """
    origin = headers.get("origin")
    if method in _SAFE_METHODS or origin is None:
        return
    if origin.partition("://")[2].lower() != headers.get("host", "").lower():
        raise Forbidden("Web pages of other sites may not call this API. Call it from a program.")


def check_length(path: str, headers: Headers, settings: Settings) -> None:
    """Refuse a body that says it is too large before any of it is read.

    Raises:
        PayloadTooLarge: If Content-Length is over the limit of the address.
    """
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > max_body_bytes(path, settings):
        raise PayloadTooLarge(too_large(path, settings))


def check_binding(store: Store, host: str) -> None:
    """Refuse to serve other machines while there is no key they could show.

    Raises:
        InsecureBinding: If the address is not loopback and no key is in force.
    """
    if not (_is_loopback(host) or host == "localhost" or has_keys(store)):
        raise InsecureBinding(
            f"Anyone who reaches {host} could use this API, because no API key exists. "
            f"Make one with {_MAKE_A_KEY}, or set TMS_API_HOST=127.0.0.1."
        )


def _authenticate(scope: AsgiScope, headers: Headers) -> Actor:
    store: Store = scope["app"].state.store
    scheme, plain = get_authorization_scheme_param(headers.get("authorization"))
    if scheme.lower() == "bearer" and plain:
        return _actor_with(store, plain)
    if has_keys(store):
        raise Unauthorized("Send a key in the header `Authorization: Bearer KEY`.")
    if not _is_loopback(_client_host(scope)):
        raise Unauthorized(f"Until a key exists only this machine may call. Make one on it: {_MAKE_A_KEY}.")
    return Actor(LOCAL_ACTOR, "admin")


def _actor_with(store: Store, plain: str) -> Actor:
    key = find_key(store, plain)
    if key is None:
        raise Unauthorized(f"This key is not in force: mistyped or revoked. Make another with {_MAKE_A_KEY}.")
    note_use(store, key)
    return Actor(key.name, key.scope)  # type: ignore[arg-type]


def _is_public(path: str) -> bool:
    return path in PUBLIC_PATHS or path.startswith(f"{DEMO_IMAGES}/")


def _client_host(scope: AsgiScope) -> str:
    client: Any = scope.get("client")
    return client[0] if client else ""


def _host_name(netloc: str) -> str:
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""


@lru_cache(maxsize=1)
def _own_names(settings: Settings) -> frozenset[str]:
    # The full name may take a look-up in the network; only a server that is reached from there needs it.
    full_name = socket.getfqdn() if _is_open(settings) else ""
    names = {"localhost", settings.api_host, socket.gethostname(), full_name}
    return frozenset(name.lower() for name in names if name)


def _is_open(settings: Settings) -> bool:
    return not _is_loopback(settings.api_host) and settings.api_host != "localhost"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
