"""What a run tells while it goes on: its events and its log."""

from collections import deque
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse

from api import event_stream, examples
from api.context import RunId, StoreDep
from api.event_stream import RunEventView
from api.problems import declared
from api.security import scoped
from core.errors import InvalidRequest, NotFound, WrongEventId
from core.store import Store
from core.store.runs import events_after, get_row

router = scoped("feed")

# The largest number that every database takes as an integer.
_MAX_SEQ = 2**31 - 1
_LAST_EVENT_ID_HELP = (
    "`id:` of the last event that was received; the stream goes on behind it. It outweighs `after`."
)
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream of server-sent events; or a list, for `Accept: application/json`.",
        "content": {
            EventSourceResponse.media_type: {
                "schema": {"type": "string"},
                "example": examples.EVENT_STREAM,
            },
            "application/json": {"example": [examples.BATCH_EVENT]},
        },
    },
    204: {"description": "The run has ended and the caller has all its events: no need to reconnect."},
    **declared(InvalidRequest, WrongEventId, NotFound),
}


@router.get(
    "/runs/{run_id}/events",
    summary="The progress of a run, live",
    tags=["runs"],
    response_model=list[RunEventView],
    responses=_EVENTS,
)
def tell_events(
    request: Request,
    run_id: RunId,
    store: StoreDep,
    after: Annotated[int, Query(ge=0, le=_MAX_SEQ, description="Only events numbered above this.")] = 0,
    last_event_id: Annotated[str | None, Header(description=_LAST_EVENT_ID_HELP)] = None,
) -> list[RunEventView] | Response:
    """Each event within a second of its writing, then `end` with the run.

    With `Accept: application/json` the answer is the list of what there is now; ask again with `after` set to
    the last `seq` for what is new.
    """
    # All that can be wrong is found here: once a stream has begun it cannot answer with an error.
    get_row(store, run_id)
    seq = after if last_event_id is None else event_stream.seq_of(store, run_id, last_event_id)
    if _wants_list(request):
        return [event_stream.view_of(event) for event in events_after(store, run_id, seq)]
    if event_stream.is_over(store, run_id, seq):
        return Response(status_code=204)
    told = event_stream.stream(store, run_id, seq, request.app.state.stopping)
    return EventSourceResponse(told, headers=event_stream.HEADERS)


def _wants_list(request: Request) -> bool:
    accept = request.headers.get("accept", "").lower()
    return "application/json" in accept and str(EventSourceResponse.media_type) not in accept


@router.get(
    "/runs/{run_id}/log",
    summary="The log of a run",
    tags=["runs"],
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"text/plain": {"example": examples.LOG}}},
        **declared(InvalidRequest, NotFound),
    },
)
def tell_log(
    run_id: RunId,
    store: StoreDep,
    tail: Annotated[int, Query(ge=1, le=10_000, description="At most so many lines, the newest.")] = 200,
) -> PlainTextResponse:
    """The newest lines; empty as long as nobody has worked on the run."""
    lines = _log_lines(store, get_row(store, run_id).id, tail)
    return PlainTextResponse("".join(f"{line}\n" for line in lines))


def _log_lines(store: Store, run_id: str, most: int) -> list[str]:
    if _was_moved(store, run_id):
        return _lines_told(store, run_id, most)
    try:
        with store.settings.log_path(run_id).open(encoding="utf-8", errors="replace") as log:
            return [line.rstrip("\n") for line in deque(log, maxlen=most)]
    except FileNotFoundError:
        return _lines_told(store, run_id, most)


def _was_moved(store: Store, run_id: str) -> bool:
    """Whether workers of several hosts have worked on the run: each has a piece of its log."""
    owners = (event.payload["owner"] for event in events_after(store, run_id, kinds=("owner",)))
    # The last part of an owner's id is the process; what is before it names host and home.
    return len({owner.rpartition(":")[0] for owner in owners}) > 1


def _lines_told(store: Store, run_id: str, most: int) -> list[str]:
    told = events_after(store, run_id, kinds=("log",))
    return [line for event in told for line in event.payload["lines"]][-most:]
