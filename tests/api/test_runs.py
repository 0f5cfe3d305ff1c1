import re

import pytest
from starlette.testclient import TestClient

from core.errors import TrainingFailed
from core.store import Store
from core.store.runs import enter
from tests.api.runs import end_with, queued, succeed, summary_of


@pytest.fixture
def five(store: Store) -> list[str]:
    """Ids of five queued runs, newest first."""
    made = [queued(store) for _ in range(5)]
    return made[::-1]


def test_pages_follow_each_other_through_link_until_there_is_none(client: TestClient, five: list[str]):
    seen, address = [], "/api/runs?limit=2"
    while address:
        answer = client.get(address)
        seen.append([run["id"] for run in answer.json()])
        link = re.fullmatch(r'<(\S+)>; rel="next"', answer.headers.get("link", ""))
        address = link[1] if link else ""
    assert seen == [five[0:2], five[2:4], five[4:5]]


def test_a_full_last_page_promises_no_further_one(client: TestClient, five: list[str]):
    assert "link" not in client.get("/api/runs?limit=5").headers


def test_a_status_is_kept_from_page_to_page(client: TestClient, store: Store, five: list[str]):
    enter(store, five[1], "cancelled")
    answer = client.get("/api/runs?limit=2&status=queued")
    assert [run["id"] for run in answer.json()] == [five[0], five[2]]
    rest = client.get(answer.links["next"]["url"])
    assert [run["id"] for run in rest.json()] == [five[3], five[4]]


def test_a_run_tells_its_place_its_outcome_or_its_error(client: TestClient, store: Store, five: list[str]):
    assert client.get(f"/api/runs/{five[2]}").json()["queue_position"] == 2
    succeed(store, five[4])
    end_with(store, five[3], TrainingFailed("The loss became NaN at step 3.", step=3))
    done = client.get(f"/api/runs/{five[4]}").json()
    assert (done["status"], done["summary"]) == ("succeeded", summary_of(five[4]))
    failed = client.get(f"/api/runs/{five[3]}").json()
    assert (failed["status"], failed["error"]["code"], failed["error"]["extra"]) == (
        "failed",
        "training_failed",
        {"step": 3},
    )
    assert client.get(f"/api/runs/{five[2]}").json()["queue_position"] == 0


@pytest.mark.parametrize("part", ["", "/events", "/log"])
def test_an_unknown_run_is_404_and_says_where_to_look(client: TestClient, part: str):
    problem = client.get(f"/api/runs/run-unknown{part}").json()
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert "GET /api/runs" in problem["detail"]


@pytest.mark.parametrize(
    "address",
    [
        "/api/runs/a%00b",
        "/api/runs/..%2F..%2Fetc",
        "/api/runs?before=%00",
        "/api/runs?limit=0",
        "/api/runs/x/events?after=-1",
        f"/api/runs/x/events?after={2**63}",
    ],
)
def test_ids_and_numbers_out_of_range_never_reach_the_database(client: TestClient, address: str):
    assert client.get(address).status_code in (404, 422)
