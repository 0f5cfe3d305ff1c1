"""A run's events as server-sent events, which a caller can leave and take up again without gap or double."""

import re
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from core.errors import WrongEventId
from core.schemas import RunView
from core.store import Store
from core.store.database import AWAY
from core.store.run_views import get_run
from core.store.runs import events_after, get_row
from core.store.states import ENDED
from core.store.tables import RunEvent

POLL_S = 0.25
KEEP_ALIVE_S = 15.0
"""After so long a silence a comment is sent: proxies cut connections that say nothing."""
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""What keeps proxies from gathering events before they pass them on."""
_EVENT_ID = re.compile(r"([A-Za-z0-9_-]{1,64}):([1-9][0-9]{0,8})")


class RunEventView(BaseModel):
    """One step of a run's progress."""

    seq: int = Field(description="Number of the event within its run, from 1.")
    kind: str = Field(description="status, phase, batch, epoch, load, log, wanted, owner, resumed or retry.")
    payload: dict[str, Any]
    created_at: str


def view_of(event: RunEvent) -> RunEventView:
    """An event as callers see it."""
    return RunEventView(
        seq=event.seq, kind=event.kind, payload=event.payload, created_at=event.created_at.isoformat()
    )


def seq_of(store: Store, run_id: str, event_id: str) -> int:
    """The number of the event that a caller received last.

    Args:
        store: Where the run is.
        run_id: The run whose events are asked for.
        event_id: What the caller sent as `Last-Event-ID`.

    Raises:
        WrongEventId: If the id is none of this run's events.
    """
    parts = _EVENT_ID.fullmatch(event_id)
    if parts is not None and parts[1] == run_id:
        seq = int(parts[2])
        with store.database.read() as session:
            if session.get(RunEvent, (run_id, seq)) is not None:
                return seq
    raise WrongEventId(
        f"This is the id of no event of run {run_id}. Send back the `id:` of the last event received, which "
        f"looks like `{run_id}:17`, or leave `Last-Event-ID` out to get all events.",
        run_id=run_id,
    )


def is_over(store: Store, run_id: str, seq: int) -> bool:
    """Whether a caller who has the events up to `seq` has heard all that the run will ever tell.

    Raises:
        NotFound: If there is no such run.
    """
    return get_row(store, run_id).status in ENDED and not events_after(store, run_id, seq)


async def stream(store: Store, run_id: str, seq: int, stopping: threading.Event) -> AsyncIterator[bytes]:
    """The events behind `seq` as they come, and `end` with the run when it has ended.

    Args:
        store: Where the run is; while its database is away the stream only stays silent.
        run_id: The run.
        seq: Number of the last event that the caller has.
        stopping: Set when the server stops, which ends the stream without `end`.
    """
    told_s = anyio.current_time()
    while not stopping.is_set():
        ended, events = await run_in_threadpool(_news, store, run_id, seq)
        is_silent = anyio.current_time() - told_s >= KEEP_ALIVE_S
        if events or is_silent:
            yield b"".join(map(_encoded, events)) or KEEPALIVE_COMMENT
            told_s = anyio.current_time()
        seq = events[-1].seq if events else seq
        if ended is not None:
            yield format_sse_event(event="end", data_str=ended.model_dump_json())
            return
        await anyio.sleep(POLL_S)


def _news(store: Store, run_id: str, seq: int) -> tuple[RunView | None, list[RunEvent]]:
    """The run if it has ended, and its events behind `seq`; nothing while the database is away."""
    try:
        # In this order: once a run has ended, all that it told is there.
        has_ended = get_row(store, run_id).status in ENDED
        return (get_run(store, run_id) if has_ended else None), events_after(store, run_id, seq)
    except AWAY:
        return None, []


def _encoded(event: RunEvent) -> bytes:
    data = view_of(event).model_dump_json()
    return format_sse_event(event=event.kind, data_str=data, id=f"{event.run_id}:{event.seq}")
