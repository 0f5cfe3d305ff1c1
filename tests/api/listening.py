"""A caller that listens to a run's events, as a browser's EventSource does."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True)
class Told:
    """One server-sent event, or a comment, whose kind is empty."""

    id: str | None
    kind: str
    data: dict[str, Any]


@contextmanager
def listening(
    address: str, run_id: str, last_event_id: str | None = None, query: str = "", **headers: str
) -> Iterator[Iterator[Told]]:
    """What a run tells, from its first event or from behind the given one; leaving the block hangs up."""
    resume = {"Last-Event-ID": last_event_id} if last_event_id else {}
    url = f"http://{address}/api/runs/{run_id}/events{query}"
    with httpx2.Client(timeout=60) as client, client.stream("GET", url, headers=resume | headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _parsed(answer.iter_lines())


def _parsed(lines: Iterable[str]) -> Iterator[Told]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            yield Told(fields.get("id"), fields.get("event", ""), json.loads(fields.get("data", "{}")))
            fields = {}
