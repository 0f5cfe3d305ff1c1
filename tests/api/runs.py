"""Runs that go on and end as the test wants, through the functions that a worker calls."""

from typing import Any

from api import examples
from core.errors import TmsError
from core.jobs.service import submit
from core.registry.publish import published_path
from core.schemas import FineTuneRequest
from core.store import Store, claims
from core.store.claims import Claim
from core.store.run_views import list_runs
from core.store.runs import enter, fail

IMAGE = {"image_url": "http://127.0.0.1:9/one.png", "detections": []}
BODY: dict[str, Any] = {"images": [IMAGE], "epochs": 1}
REQUEST = FineTuneRequest(**BODY)
OWNER = "worker:gpu-1-0a1b2c3d:worker-1"


def queued(store: Store) -> str:
    """A run that waits, as the only one."""
    return submit(store, REQUEST, source="test", actor="tester").run_id


def taken(store: Store, owner: str = OWNER) -> Claim:
    """The claim on the run that has waited longest."""
    claim = claims.take_next(store, owner)
    assert claim is not None
    return claim


def learning(store: Store) -> str:
    """A run that is in training."""
    queued(store)
    run_id = taken(store).run_id
    enter(store, run_id, "training")
    return run_id


def newest(store: Store) -> str:
    return list_runs(store, limit=1)[0].id


def summary_of(run_id: str) -> dict[str, Any]:
    return {**examples.SUMMARY, "run_id": run_id}


def answer_of(store: Store, run_id: str) -> dict[str, Any]:
    """The summary as a host answers with it: its own weights, whoever worked on the run."""
    return {**summary_of(run_id), "weights_path": str(published_path(store))}


def succeed(store: Store, run_id: str) -> None:
    for status in ("preparing", "training", "evaluating"):
        enter(store, run_id, status)
    enter(store, run_id, "succeeded", summary=summary_of(run_id))


def end_with(store: Store, run_id: str, error: TmsError) -> None:
    enter(store, run_id, "preparing")
    fail(store, run_id, error.as_dict())
