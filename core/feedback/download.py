"""Fetches one image from an address that a stranger chose."""

import logging
import socket
import time
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError
from urllib3.util import Retry, Timeout

from core.config import MIB, Settings
from core.feedback.addresses import (
    DEFAULT_PORTS,
    GuardedAdapter,
    check_url,
    hanging_up_after,
    without_secrets,
)
from core.feedback.reasons import Refusal

MAX_REDIRECTS = 3
_PAUSES_S = (0.2, 0.8, 3.2)
_MAX_CONNECT_S = 10.0
_CHUNK_BYTES = 64 * 1024
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "tms-feedback"}
_GONE = {404, 410}
_MAY_PASS = {429, 500, 502, 503, 504}

# It writes whole addresses, query strings and all, at every lower level.
logging.getLogger(urllib3.__name__).setLevel(logging.ERROR)


class _Passing(Refusal):
    """A failure that may be gone at the next try, or after the seconds that the server asked for."""

    def __init__(self, code: str, detail: str, wait_s: float = 0.0) -> None:
        super().__init__(code, detail)
        self.wait_s = wait_s


class _Deadline:
    """The seconds that one image may take, over all tries and redirects."""

    # Less than this is of no use to anyone, and timers are not more exact.
    _SLACK_S = 0.05

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        return self._end - time.monotonic()

    @property
    def has_passed(self) -> bool:
        return self.left_s < self._SLACK_S

    def check(self, url: str) -> None:
        if self.has_passed:
            detail = f"{without_secrets(url)} did not deliver the image within {self.seconds:g} s."
            raise Refusal("fetch_timeout", detail)


class Downloader:
    """Fetches images under the rules of the settings; may be shared by threads.

    It holds no cookies, reads no proxies or passwords from the environment, follows redirects by itself so
    that each is checked like the first address, and counts the bytes after any content coding.
    The name look-up alone is timed by the operating system and not by the deadline.
    """

    def __init__(self, settings: Settings) -> None:
        """Take the limits and the listed hosts."""
        self._max_bytes = settings.image_max_bytes
        self._deadline_s = settings.fetch_deadline_s
        self._adapters = {
            scheme: GuardedAdapter(
                scheme,
                settings.allowed_image_hosts,
                listed_only=settings.image_hosts_only,
                connections=settings.fetch_concurrency,
            )
            for scheme in DEFAULT_PORTS
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for adapter in self._adapters.values():
            adapter.close()

    def fetch(self, url: str) -> bytes:
        """The bytes at an address, after further tries where that may help.

        Raises:
            Refusal: One of the `fetch_` codes.
        """
        deadline = _Deadline(self._deadline_s)
        for pause_s in _PAUSES_S:
            try:
                return self._follow(url, deadline)
            except _Passing as failure:
                wait_s = max(pause_s, failure.wait_s)
                if wait_s >= deadline.left_s:
                    raise
            time.sleep(wait_s)
        return self._follow(url, deadline)

    def _follow(self, url: str, deadline: _Deadline) -> bytes:
        first = url
        for _ in range(MAX_REDIRECTS + 1):
            with self._answer(url, deadline) as response:
                if not response.is_redirect:
                    _check_status(response, url)
                    return self._read(response, url, deadline)
                url = _redirected(url, response.headers["location"])
        detail = f"{without_secrets(first)} redirects more than {MAX_REDIRECTS} times."
        raise Refusal("fetch_too_many_redirects", detail)

    def _answer(self, url: str, deadline: _Deadline) -> requests.Response:
        check_url(url)
        deadline.check(url)
        try:
            request = requests.Request("GET", url, headers=_HEADERS).prepare()
            adapter = self._adapters[urlsplit(request.url or "").scheme]
            timeout = Timeout(connect=min(_MAX_CONNECT_S, deadline.left_s), total=deadline.left_s)
            response: requests.Response = adapter.send(request, stream=True, timeout=timeout, proxies={})
            return response
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, KeyError, UnicodeError):
            raise Refusal("fetch_refused_url", f"{without_secrets(url)} is not a valid address.") from None
        except (requests.RequestException, HTTPError) as error:
            deadline.check(url)
            raise _unreachable(url, error) from None

    def _read(self, response: requests.Response, url: str, deadline: _Deadline) -> bytes:
        raw: urllib3.HTTPResponse = response.raw
        self._check_size(raw.length_remaining or 0, url)
        content = bytearray()
        try:
            with hanging_up_after(deadline.left_s, raw.shutdown):
                while chunk := raw.read1(_CHUNK_BYTES, decode_content=True):
                    content += chunk
                    self._check_size(len(content), url)
        except HTTPError as error:
            deadline.check(url)
            raise _unreachable(url, error) from None
        # Hanging up looks like an orderly end where no length was announced.
        deadline.check(url)
        return bytes(content)

    def _check_size(self, size_bytes: int, url: str) -> None:
        if size_bytes > self._max_bytes:
            raise Refusal(
                "fetch_too_large",
                f"{without_secrets(url)} holds at least {size_bytes / MIB:.1f} MiB; "
                f"at most {self._max_bytes / MIB:.1f} MiB are taken.",
            )


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        detail = f"{without_secrets(url)} redirects to an invalid address."
        raise Refusal("fetch_refused_url", detail) from None


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status == requests.codes.ok:
        return
    detail = f"{without_secrets(url)} answered with HTTP status {status}."
    if status in _MAY_PASS:
        raise _Passing("fetch_http_error", detail, _asked_wait_s(response))
    raise Refusal("fetch_not_found" if status in _GONE else "fetch_http_error", detail)


def _asked_wait_s(response: requests.Response) -> float:
    """Seconds of a Retry-After header, which may also be a date; 0 without one or with nonsense in it."""
    try:
        return Retry().get_retry_after(response.raw) or 0.0
    except (HTTPError, ValueError, OverflowError):
        return 0.0


def _unreachable(url: str, error: Exception) -> Refusal:
    return _Passing("fetch_unreachable", f"{without_secrets(url)} could not be fetched: {cause_of(error)}.")


def cause_of(error: Exception) -> str:
    """Why a host was not reached, in a few words: the error's own text would show the query string."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error.__cause__, socket.gaierror) or isinstance(reason, NameResolutionError):
        return "its host name is not known"
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate was not accepted"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "its host does not answer"
    return "the connection was refused or broke off"
