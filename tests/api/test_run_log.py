import pytest
from starlette.testclient import TestClient

from core.store import Store
from core.store.claims import hand_back
from core.store.runs import add_event
from tests.api.runs import queued, taken


def log_of(client: TestClient, run_id: str, **query) -> str:
    answer = client.get(f"/api/runs/{run_id}/log", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    return answer.text


def write_log(store: Store, run_id: str, lines: int) -> None:
    written = "".join(f"line {number} °C\n" for number in range(lines))
    store.settings.log_path(run_id).write_text(written, encoding="utf-8")


def test_a_run_that_nobody_worked_on_has_an_empty_log(client: TestClient, store: Store):
    assert log_of(client, queued(store)) == ""


def test_the_newest_lines_are_given(client: TestClient, store: Store):
    run_id = queued(store)
    write_log(store, run_id, 500)
    assert log_of(client, run_id).splitlines() == [f"line {number} °C" for number in range(300, 500)]
    assert log_of(client, run_id, tail=2) == "line 498 °C\nline 499 °C\n"
    assert len(log_of(client, run_id, tail=10_000).splitlines()) == 500


def test_bytes_that_are_no_text_do_not_hide_the_rest(client: TestClient, store: Store):
    run_id = queued(store)
    store.settings.log_path(run_id).write_bytes(b"before\n\xff\xfe\nafter, cut")
    assert log_of(client, run_id).splitlines() == ["before", "\ufffd\ufffd", "after, cut"]


def test_a_log_on_another_host_is_told_from_the_events(client: TestClient, store: Store):
    run_id = queued(store)
    taken(store)
    add_event(store, run_id, "log", {"lines": ["INFO one", "INFO two"]})
    add_event(store, run_id, "log", {"lines": ["WARNING three"]})
    assert log_of(client, run_id) == "INFO one\nINFO two\nWARNING three\n"
    assert log_of(client, run_id, tail=2) == "INFO two\nWARNING three\n"


@pytest.mark.parametrize(
    ("second_owner", "is_moved"),
    [("worker:gpu-1-aaaa:worker-2", False), ("worker:gpu-2-bbbb:worker-2", True)],
)
def test_of_a_run_that_moved_to_another_host_no_half_log_is_given(
    client: TestClient, store: Store, second_owner: str, is_moved: bool
):
    run_id = queued(store)
    first = taken(store, "worker:gpu-1-aaaa:worker-1")
    write_log(store, run_id, 1)
    add_event(store, run_id, "log", {"lines": ["INFO on the first"]})
    hand_back(store, first)
    taken(store, second_owner)
    add_event(store, run_id, "log", {"lines": ["INFO on the second"]})
    told = "INFO on the first\nINFO on the second\n" if is_moved else "line 0 °C\n"
    assert log_of(client, run_id) == told


@pytest.mark.parametrize("run_id", ["run-unknown", "..%2F..%2Fapi", "api", "worker"])
def test_only_logs_of_runs_can_be_read(client: TestClient, store: Store, run_id: str):
    (store.settings.logs_dir / "worker.log").write_text("secret")
    answer = client.get(f"/api/runs/{run_id}/log")
    assert answer.status_code in (404, 422)
    assert "secret" not in answer.text


@pytest.mark.parametrize("tail", ["0", "10001", "-1", "all"])
def test_a_number_of_lines_out_of_range_is_refused(client: TestClient, store: Store, tail: str):
    answer = client.get(f"/api/runs/{queued(store)}/log", params={"tail": tail})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/tail")
