"""A run's events as a stream, over real sockets, and as a list."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import event_stream
from api.app import Server
from core.config import Settings
from core.store import Store
from core.store.keys import create_key
from core.store.run_views import get_run
from core.store.runs import add_event, enter
from tests.api.conftest import serving
from tests.api.listening import Told, listening
from tests.api.runs import learning, queued, succeed, summary_of, taken
from tests.processes import wait_until

LIST = {"Accept": "application/json"}


@pytest.fixture
def served(app: FastAPI, settings: Settings) -> Iterator[tuple[Server, str]]:
    with serving(app, settings) as (server, address):
        yield server, address


@pytest.fixture
def address(served: tuple[Server, str]) -> str:
    return served[1]


@pytest.fixture
def shared(address: str, settings: Settings) -> Iterator[Store]:
    """The store of the running server as another process holds it."""
    with Store.open(settings) as store:
        yield store


def say(store: Store, run_id: str, done: int) -> None:
    add_event(store, run_id, "phase", {"phase": "Fetching and checking images", "done": done, "total": 500})


def end(store: Store, run_id: str) -> None:
    enter(store, run_id, "evaluating")
    enter(store, run_id, "succeeded", summary=summary_of(run_id))


def test_each_event_arrives_while_the_run_goes_on(address: str, shared: Store):
    run_id = queued(shared)
    with listening(address, run_id) as events:
        taken(shared)
        assert [next(events).kind, next(events).kind] == ["status", "owner"]
        for done in (1, 2):
            say(shared, run_id, done)
            told = next(events)
            assert (told.id, told.kind) == (f"{run_id}:{done + 2}", "phase")
            assert (told.data["seq"], told.data["payload"]["done"]) == (done + 2, done)
        assert get_run(shared, run_id).status == "preparing"


def test_a_stream_ends_with_the_run_as_it_ended(address: str, shared: Store):
    run_id = learning(shared)
    with listening(address, run_id) as events:
        end(shared, run_id)
        *told, last = events
    assert [event.id for event in told] == [f"{run_id}:{seq}" for seq in range(1, len(told) + 1)]
    assert told[-1].data["payload"] == {"status": "succeeded"}
    assert (last.id, last.kind) == (None, "end")
    assert last.data == get_run(shared, run_id).model_dump(mode="json")


def test_who_leaves_and_comes_back_misses_nothing_and_hears_nothing_twice(
    address: str, client: TestClient, shared: Store
):
    run_id = learning(shared)

    def tell() -> None:
        for done in range(200):
            say(shared, run_id, done)
        end(shared, run_id)

    heard: list[Told] = []
    with ThreadPoolExecutor() as pool:
        telling = pool.submit(tell)
        while not heard or heard[-1].kind != "end":
            with listening(address, run_id, heard[-1].id if heard else None) as events:
                heard += [event for event, _ in zip(events, range(17), strict=False)]
        telling.result()
    listed = client.get(f"/api/runs/{run_id}/events", headers=LIST).json()
    assert [event.data for event in heard[:-1]] == listed
    assert [event["seq"] for event in listed] == list(range(1, 206))


def test_who_has_heard_all_of_an_ended_run_is_told_not_to_come_back(client: TestClient, store: Store):
    run_id = learning(store)
    end(store, run_id)
    address = f"/api/runs/{run_id}/events"
    last = client.get(address, headers=LIST).json()[-1]["seq"]
    for position in ({"headers": {"Last-Event-ID": f"{run_id}:{last}"}}, {"params": {"after": last}}):
        answer = client.get(address, **position)
        assert (answer.status_code, answer.content) == (204, b"")
    before = client.get(address, headers={"Last-Event-ID": f"{run_id}:{last - 1}"})
    assert [line for line in before.text.splitlines() if line.startswith("event:")] == [
        "event: status", "event: end"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong", ["", "banana", "{run}", "{run}:", "{run}:0", "{run}:01", "{run}:3", "{run}:-1", "{run}:1\xb2",
              "{run}:99999999999999999999", "{other}:1", "x{run}:1", "{run}:1:1"],
)  # fmt: skip
@pytest.mark.parametrize("headers", [{}, LIST], ids=["stream", "list"])
def test_an_id_that_is_none_of_this_run_is_refused(
    client: TestClient, store: Store, wrong: str, headers: dict[str, str]
):
    run_id, other = queued(store), queued(store)
    for _ in range(2):
        taken(store)
    wrong = wrong.format(run=run_id, other=other)
    sent = headers | {"Last-Event-ID": wrong.encode("latin-1")}
    answer = client.get(f"/api/runs/{run_id}/events", headers=sent)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["run_id"]) == (422, "wrong_event_id", run_id)
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"`{run_id}:17`" in problem["detail"]


def test_the_header_outweighs_the_parameter_and_both_work_for_a_list(client: TestClient, store: Store):
    run_id = learning(store)
    address = f"/api/runs/{run_id}/events"
    listed = client.get(address, headers=LIST).json()
    assert [event["kind"] for event in listed] == ["status", "owner", "status"]
    assert client.get(f"{address}?after=1", headers=LIST).json() == listed[1:]
    assert client.get(f"{address}?after=3", headers=LIST).json() == []
    both = client.get(f"{address}?after=1", headers=LIST | {"Last-Event-ID": f"{run_id}:2"})
    assert both.json() == listed[2:]


def test_a_number_in_the_address_is_where_a_stream_begins(address: str, shared: Store):
    run_id = learning(shared)
    with listening(address, run_id, query="?after=2") as events:
        assert next(events).id == f"{run_id}:3"
    with listening(address, run_id, f"{run_id}:1", query="?after=2") as events:
        assert next(events).id == f"{run_id}:2"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/event-stream, application/json", "text/event-stream"),
        ("text/event-stream", "text/event-stream"),
        ("text/html, */*;q=0.8", "text/event-stream"),
    ],
)
def test_the_accept_header_chooses_between_list_and_stream(
    client: TestClient, store: Store, accept: str, media_type: str
):
    run_id = queued(store)
    succeed(store, run_id)
    answer = client.get(f"/api/runs/{run_id}/events", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == media_type
    if media_type == "text/event-stream":
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")


def test_a_run_that_says_nothing_keeps_its_line_open(
    address: str, shared: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_S", 0.0)
    run_id = queued(shared)
    with listening(address, run_id) as events:
        assert [next(events), next(events)] == [Told(None, "", {})] * 2
        taken(shared)
        assert next(event for event in events if event.kind).id == f"{run_id}:1"


def test_a_stream_outlives_a_database_that_goes_away(
    app: FastAPI, address: str, shared: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_S", 0.0)
    run_id = learning(shared)
    engine = app.state.store.database.engine
    with listening(address, run_id) as events:
        assert [next(events).kind for _ in range(3)] == ["status", "owner", "status"]
        pool, engine.pool = engine.pool, sa.create_engine("sqlite:////nowhere/at/all.sqlite").pool
        say(shared, run_id, 1)
        # The second and third comment from now on come after looks at a database that did not answer.
        assert [next(events).kind for _ in range(3)] == ["", "", ""]
        engine.pool = pool
        told = next(event for event in events if event.kind)
    assert (told.id, told.kind) == (f"{run_id}:4", "phase")


def test_a_server_that_stops_ends_its_streams_and_the_next_one_goes_on(app: FastAPI, settings: Settings):
    with serving(app, settings) as (server, address):
        run_id = learning(app.state.store)
        with listening(address, run_id) as events:
            heard = [next(events) for _ in range(3)]
            server.handle_exit(signal.SIGTERM, None)
            assert list(events) == []
    app.state.stopping.clear()
    with serving(app, settings) as (_, address), listening(address, run_id, heard[-1].id) as events:
        say(app.state.store, run_id, 1)
        assert next(events).id == f"{run_id}:4"


def test_a_listener_that_goes_away_leaves_nothing_behind(address: str, settings: Settings, shared: Store):
    run_id = queued(shared)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: _listen_and_leave(address, run_id), range(20)))
    log = settings.logs_dir / "api.log"
    wait_until(lambda: log.read_text(encoding="utf-8").count(f"/api/runs/{run_id}/events") == 20)
    assert '"level": "error"' not in log.read_text(encoding="utf-8")
    assert get_run(shared, run_id).status == "queued"


def _listen_and_leave(address: str, run_id: str) -> None:
    with listening(address, run_id):
        pass


def test_listening_needs_a_key_of_any_scope(remote: TestClient, store: Store):
    run_id = queued(store)
    succeed(store, run_id)
    address = f"/api/runs/{run_id}/events"
    assert remote.get(address).status_code == 401
    key = create_key(store, "feed-1", "feed")
    assert remote.get(address, headers={"Authorization": f"Bearer {key}"}).status_code == 200
