"""The outermost layer: one log line per request, and no exception past it."""

from time import perf_counter

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.log import log
from core.errors import TmsError


class AccessLog:
    """Logs method, path, status, time and actor of each request, and answers what the layers below raise."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answered = _Answered(send)
        started = perf_counter()
        try:
            await self._serve(scope, receive, answered)
        finally:
            _write_line(scope, answered.status, perf_counter() - started)

    async def _serve(self, scope: Scope, receive: Receive, send: "_Answered") -> None:
        try:
            await self.app(scope, receive, send)
        except TmsError as error:
            await problems.answer(error, Request(scope))(scope, receive, send)
        except Exception as error:
            response = problems.answer_unexpected(error, Request(scope))
            if send.status is not None:
                raise
            await response(scope, receive, send)


class _Answered:
    """`send`, and the status that went through it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _write_line(scope: Scope, status: int | None, seconds: float) -> None:
    actor = scope.get("state", {}).get("actor")
    log.info(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000, 1),
        actor=actor.name if actor else None,
    )
