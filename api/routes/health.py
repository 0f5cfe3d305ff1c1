"""Whether the service lives, is ready, and what it works with; open to every monitor."""

from typing import Literal

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from api.context import StoreDep
from api.problems import declared
from core import __version__
from core.errors import BaselineMissing, DatabaseUnavailable
from core.jobs.service import live_workers
from core.registry.publish import champion, published_path
from core.store import Store
from core.store.run_views import count_by_status

router = APIRouter(tags=["health"])

_NO_DATABASE = "The database does not answer. Check that TMS_DATABASE_URL names it and that it runs."


class LiveWorker(BaseModel):
    """A worker that was heard of lately."""

    id: str
    host: str
    device: str
    heartbeat_at: str


class Queue(BaseModel):
    """How much there is to do."""

    queued: int = Field(description="Runs that wait, those of a host that died included.")
    running: int = Field(description="Runs that prepare, train or evaluate.")


class Health(BaseModel):
    """What the service works with, and what is wrong with it."""

    status: Literal["ok", "degraded"]
    reasons: list[str] = Field(description="Why it is degraded, and what to do; empty when it is ok.")
    version: str
    pretrained_weights: str
    pretrained_exists: bool
    annotated_dataset_root: str
    annotated_dataset_exists: bool
    weights_path: str = Field(description="The published weights.")
    weights_exist: bool = Field(description="False before the baseline was adopted.")
    champion_id: str | None = Field(description="The checkpoint that is live; empty before there is one.")
    database: Literal["ok", "unavailable"]
    worker: list[LiveWorker] = Field(description="Workers that are alive, newest first.")
    queue: Queue | None = Field(description="Empty when the database does not answer.")


class Alive(BaseModel):
    """The short answer to a probe."""

    status: Literal["ok"] = "ok"


@router.get("/health/live", summary="Does the process answer?")
def live() -> Alive:
    """Nothing but this answer; restart the service when it fails."""
    return Alive()


@router.get(
    "/health/ready",
    summary="Can a batch be taken?",
    responses=declared(DatabaseUnavailable, BaselineMissing),
)
def ready(store: StoreDep) -> Alive:
    """Whether the database answers and there are weights to start from."""
    if not database_answers(store):
        raise DatabaseUnavailable(_NO_DATABASE)
    if not store.settings.baseline_path.is_file():
        raise BaselineMissing(_no_baseline(store))
    return Alive()


@router.get("/health", summary="What the service works with")
def health(store: StoreDep) -> Health:
    """Paths, the live checkpoint, workers and queue; always 200, so that a person can read what is wrong."""
    settings = store.settings
    answers = database_answers(store)
    workers = _workers(store) if answers else []
    queue = _queue(store) if answers else None
    reasons = _reasons(store, queue, workers)
    published = champion(store) if answers else None
    weights = published_path(store)
    return Health(
        status="degraded" if reasons else "ok",
        reasons=reasons,
        version=__version__,
        pretrained_weights=str(settings.baseline_path),
        pretrained_exists=settings.baseline_path.is_file(),
        annotated_dataset_root=str(settings.base_set_root),
        annotated_dataset_exists=settings.base_set_root.is_dir(),
        weights_path=str(weights),
        weights_exist=weights.is_file(),
        champion_id=published.id if published else None,
        database="ok" if answers else "unavailable",
        worker=workers,
        queue=queue,
    )


def database_answers(store: Store) -> bool:
    """Whether a query comes back."""
    try:
        with store.database.read() as session:
            session.execute(sa.text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


def _workers(store: Store) -> list[LiveWorker]:
    return [
        LiveWorker(id=row.id, host=row.host, device=row.device, heartbeat_at=row.heartbeat_at.isoformat())
        for row in live_workers(store)
    ]


def _queue(store: Store) -> Queue:
    count = count_by_status(store)
    running = count["preparing"] + count["training"] + count["evaluating"]
    return Queue(queued=count["queued"] + count["interrupted"], running=running)


def _reasons(store: Store, queue: Queue | None, workers: list[LiveWorker]) -> list[str]:
    base_set = store.settings.base_set_root
    is_idle = queue is not None and queue.queued + queue.running == 0
    checks = {
        _NO_DATABASE: queue is not None,
        _no_baseline(store): store.settings.baseline_path.is_file(),
        f"There is no base set at {base_set}. {_make(store, 'ANNOTATED_DATASET_ROOT')}": base_set.is_dir(),
        "Runs wait and no worker is alive. Start one with `python -m core.jobs.worker`.": is_idle or workers,
    }
    return [reason for reason, is_well in checks.items() if not is_well]


def _no_baseline(store: Store) -> str:
    path = store.settings.baseline_path
    return f"There are no baseline weights at {path}. {_make(store, 'PRETRAINED_WEIGHTS')}"


def _make(store: Store, setting: str) -> str:
    if store.settings.is_demo:
        return "Make the demo with `python -m core prepare`; otherwise the first run does."
    return f"Set TMS_{setting}."
