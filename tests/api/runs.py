"""Runs that end as the test wants, through the functions that a worker calls."""

from typing import Any

from api import examples
from core.errors import TmsError
from core.schemas import FineTuneRequest
from core.store import Store
from core.store.runs import enter, fail, list_runs

IMAGE = {"image_url": "http://127.0.0.1:9/one.png", "detections": []}
BODY: dict[str, Any] = {"images": [IMAGE], "epochs": 1}
REQUEST = FineTuneRequest(**BODY)


def newest(store: Store) -> str:
    return list_runs(store, limit=1)[0].id


def summary_of(run_id: str) -> dict[str, Any]:
    return {**examples.SUMMARY, "run_id": run_id}


def succeed(store: Store, run_id: str) -> None:
    for status in ("preparing", "training", "evaluating"):
        enter(store, run_id, status)
    enter(store, run_id, "succeeded", summary=summary_of(run_id))


def end_with(store: Store, run_id: str, error: TmsError) -> None:
    enter(store, run_id, "preparing")
    fail(store, run_id, error.as_dict())
