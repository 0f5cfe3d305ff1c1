"""Stopping, cancelling and retrying runs."""

import pytest
from starlette.testclient import TestClient

from core.errors import TrainingFailed
from core.store import Store, claims
from core.store.keys import create_key
from core.store.run_views import get_run, list_runs
from core.store.runs import enter, events_after
from tests.api.runs import end_with, learning, queued, succeed, summary_of, taken
from tests.factories import save_epoch
from tests.unit.registry.factories import promote, register


def order(client: TestClient, run_id: str, what: str, **more):
    answer = client.post(f"/api/runs/{run_id}/{what}", **more)
    return answer.status_code, answer.json()


def wishes(store: Store, run_id: str) -> list[dict]:
    return [event.payload for event in events_after(store, run_id, kinds=("wanted",))]


@pytest.mark.parametrize("what", ["stop", "cancel"])
def test_a_run_that_waits_ends_at_once_because_it_has_nothing_to_keep(
    client: TestClient, store: Store, what: str
):
    run_id = queued(store)
    for _ in range(2):
        status, run = order(client, run_id, what)
        assert (status, run["status"], run["wanted"]) == (200, "cancelled", "cancel")
        assert run == client.get(f"/api/runs/{run_id}").json()
    assert wishes(store, run_id) == [{"wanted": "cancel", "asked": what, "by": "local"}]
    assert claims.take_next(store, "worker:x:y") is None


def test_a_run_that_learns_is_told_once_to_stop(client: TestClient, store: Store):
    run_id = learning(store)
    for _ in range(3):
        status, run = order(client, run_id, "stop")
        assert (status, run["status"], run["wanted"]) == (202, "training", "stop")
    assert wishes(store, run_id) == [{"wanted": "stop", "asked": "stop", "by": "local"}]
    enter(store, run_id, "evaluating")
    enter(store, run_id, "succeeded", summary=summary_of(run_id))
    status, run = order(client, run_id, "stop")
    assert (status, run["status"]) == (200, "succeeded")


def test_a_cancellation_outweighs_a_stop_and_not_the_other_way_round(client: TestClient, store: Store):
    run_id = learning(store)
    order(client, run_id, "stop")
    assert order(client, run_id, "cancel")[1]["wanted"] == "cancel"
    status, run = order(client, run_id, "stop")
    assert (status, run["wanted"]) == (202, "cancel")
    assert [wish["wanted"] for wish in wishes(store, run_id)] == ["stop", "cancel"]


@pytest.mark.parametrize("what", ["stop", "cancel"])
def test_what_has_succeeded_or_failed_cannot_be_ended(client: TestClient, store: Store, what: str):
    done, failed = queued(store), queued(store)
    succeed(store, done)
    end_with(store, failed, TrainingFailed("The loss became NaN at step 3."))
    for run_id in (done, failed):
        before = get_run(store, run_id)
        status, problem = order(client, run_id, what)
        assert (status, problem["code"], problem["run_id"]) == (409, "run_ended", run_id)
        assert problem["instance"] == f"/api/runs/{run_id}"
        assert get_run(store, run_id) == before


def test_a_failed_run_is_queued_again_as_a_new_one(client: TestClient, store: Store):
    failed = queued(store)
    end_with(store, failed, TrainingFailed("The loss became NaN at step 3."))
    answer = client.post(f"/api/runs/{failed}/retry")
    run = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/runs/{run['id']}"
    assert client.get(answer.headers["location"]).json() == run
    assert (run["status"], run["continues_id"], run["epochs_done"]) == ("queued", failed, 0)
    assert get_run(store, failed).status == "failed"
    [told] = events_after(store, run["id"])
    assert (told.kind, told.payload) == ("retry", {"of": failed, "by": "local", "epochs_done": 0})


@pytest.mark.parametrize(("from_start", "epochs_done"), [("false", 1), ("true", 0)])
def test_a_retry_goes_on_behind_the_last_epoch_unless_it_is_to_start_anew(
    client: TestClient, store: Store, tmp_path, from_start: str, epochs_done: int
):
    failed = _failed_after_one_epoch(store, tmp_path)
    status, run = order(client, failed, "retry", params={"from_start": from_start})
    assert (status, run["epochs_done"]) == (201, epochs_done)
    kinds = [event.kind for event in events_after(store, run["id"])]
    assert kinds == ["epoch"] * epochs_done + ["retry"]


def _failed_after_one_epoch(store: Store, tmp_path) -> str:
    state = tmp_path / "resume.pt"
    state.write_bytes(b"state")
    champion = register(store, b"weights")
    promote(store, champion, None)
    run_id = learning(store)
    enter(store, run_id, "training", parent_id=champion.id)
    sha256 = store.blobs.put_file(state, "the state after the epoch")
    save_epoch(store, run_id, {"epoch": 1, "epochs": 2}, sha256)
    enter(store, run_id, "failed", error=TrainingFailed("The loss became NaN.").as_dict())
    return run_id


def test_what_waits_works_or_succeeded_cannot_be_retried(client: TestClient, store: Store):
    done, working, waiting = (queued(store) for _ in range(3))
    succeed(store, done)
    taken(store)
    for run_id in (done, working, waiting):
        status, problem = order(client, run_id, "retry")
        assert (status, problem["code"]) == (409, "run_not_retryable")
    assert len(list_runs(store)) == 3


@pytest.mark.parametrize("what", ["stop", "cancel", "retry"])
class TestEveryOrder:
    """What holds for all three."""

    def test_an_unknown_run_is_404(self, client: TestClient, what: str):
        status, problem = order(client, "run-unknown", what)
        assert (status, problem["code"]) == (404, "not_found")
        assert "GET /api/runs" in problem["detail"]

    def test_an_id_that_is_none_is_422(self, client: TestClient, what: str):
        assert order(client, "a%00b", what)[0] == 422

    def test_a_key_for_feeding_is_not_enough(self, remote: TestClient, store: Store, what: str):
        run_id = queued(store)
        if what == "retry":
            end_with(store, run_id, TrainingFailed("The loss became NaN at step 3."))
        before = get_run(store, run_id)
        key = create_key(store, "feed-1", "feed")
        status, problem = order(remote, run_id, what, headers={"Authorization": f"Bearer {key}"})
        assert (status, problem["code"], problem["needed_scope"]) == (403, "forbidden", "operate")
        assert (get_run(store, run_id), len(list_runs(store))) == (before, 1)

    def test_who_gave_it_is_written_down(self, remote: TestClient, store: Store, what: str):
        run_id = queued(store)
        if what == "retry":
            end_with(store, run_id, TrainingFailed("The loss became NaN at step 3."))
        key = create_key(store, "night-shift", "operate")
        status, run = order(remote, run_id, what, headers={"Authorization": f"Bearer {key}"})
        assert status in (200, 201)
        told = events_after(store, run["id"], kinds=("wanted", "retry"))
        assert [event.payload["by"] for event in told] == ["night-shift"]


def test_a_parameter_that_is_no_truth_value_is_told(client: TestClient, store: Store):
    status, problem = order(client, queued(store), "retry", params={"from_start": "perhaps"})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/from_start")
