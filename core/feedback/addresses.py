"""Which addresses may be fetched, decided where the connection is made.

A check of the address' text alone is worth nothing: a name can resolve to a public address when it is
checked and to a private one when it is fetched. So each connection goes to the very address that was checked.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Timer
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

from core.feedback.reasons import Refusal

DEFAULT_PORTS = {"http": 80, "https": 443}


def without_secrets(url: str) -> str:
    """The address for screens, messages and logs: no user name, password, query string or fragment."""
    return re.sub(r"^([^/?#]*//)[^/?#]*@", r"\1", re.sub(r"[?#].*", "", url, flags=re.DOTALL))


def check_url(url: str) -> None:
    """Refuse what is not a plain http(s) address.

    Raises:
        Refusal: `fetch_refused_url`.
    """
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise Refusal("fetch_refused_url", f"{without_secrets(url)} is not a valid address.") from None
    if not is_plain:
        raise Refusal("fetch_refused_url", f"{without_secrets(url)} is not an http or https address.")
    if "@" in parts.netloc:
        raise Refusal("fetch_refused_url", f"{without_secrets(url)} was posted with a user name or password.")


class GuardedAdapter(IPFilterAdapter):  # type: ignore[misc]
    """Connects to public addresses and to the hosts that the operator listed, and to nothing else."""

    def __init__(
        self, scheme: str, listed: frozenset[str], *, listed_only: bool = False, connections: int = 1
    ) -> None:
        """Take the rules.

        Args:
            scheme: `http` or `https`.
            listed: `host` or `host:port`, of those that may be reached although private.
            listed_only: Reach no others.
            connections: Kept at most.
        """
        self._listed, self._listed_only, self._connections = listed, listed_only, connections
        super().__init__(is_https_proto=scheme == "https")

    def check(self, url: str) -> None:
        """Look an address up without connecting to it.

        Raises:
            Refusal: `fetch_refused_address`.
        """
        self.build_connection_pool_key_attributes(requests.Request("GET", url).prepare(), True)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Keep a connection for each thread, all of the kind that hangs up in time."""
        super().init_poolmanager(self._connections, self._connections, block, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Say where to connect: the address that was checked, not the name it came from.

        Raises:
            Refusal: `fetch_refused_address`.
        """
        where, tls = HTTPAdapter.build_connection_pool_key_attributes(self, request, verify, cert)
        host, port = where["host"], where["port"] or DEFAULT_PORTS[where["scheme"]]
        if _names(host, port) & self._listed:
            return where, tls
        if self._listed_only:
            raise Refusal("fetch_refused_address", f"{host}:{port} is not among the hosts to fetch from.")
        try:
            where, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        except InvalidIPAddress:
            raise _private(host) from None
        if not _is_public(where["host"]):
            raise _private(host)
        return where, tls


def _names(host: str, port: int) -> set[str]:
    bracketed = f"[{host}]" if ":" in host else host
    return {host, bracketed, f"{bracketed}:{port}"}


def _is_public(address: str) -> bool:
    # requests-hardened has refused private, multicast, CGNAT, NAT64 and 6to4 by now; this closes what
    # it leaves: reserved space, among it IPv4-compatible IPv6, and site-local.
    ip = ipaddress.ip_address(address.strip("[]"))
    is_site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return ip.is_global and not (ip.is_reserved or ip.is_multicast or is_site_local)


def _private(host: str) -> Refusal:
    return Refusal("fetch_refused_address", f"{host} is or resolves to an address that is not public.")


@contextmanager
def hanging_up_after(seconds: float, hang_up: Callable[[], object]) -> Iterator[None]:
    """End a read that is still going on after so many seconds, however much trickles in.

    A socket's own time limit starts anew with every byte that arrives.
    """

    def end() -> None:
        # The other side, or the block's end, may have been faster.
        with suppress(OSError, ValueError):
            hang_up()

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _response_in_time(connection: HTTPConnection, read: Callable[[], HTTPResponse]) -> HTTPResponse:
    # urllib3 has set the connection's timeout to the time that is left.
    left_s = cast(float, connection.timeout)
    # The plain shutdown: that of a TLS socket would pull its state away from under the reading thread.
    hang_up = partial(socket.socket.shutdown, connection.sock, socket.SHUT_RDWR)
    with hanging_up_after(left_s, hang_up):
        return read()


class _HttpConnection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        return _response_in_time(self, super().getresponse)


class _HttpsConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        return _response_in_time(self, super().getresponse)


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
