"""What both doors ask of the jobs: hand in a run, look at what it would learn from, keep a worker alive."""

import os
import platform
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import trainer
from core.config import CHECKOUT, Settings
from core.dataset.base_set import BaseSet, read_base_set
from core.dataset.images import boxes_per_class
from core.errors import IdempotencyConflict
from core.jobs.queue import enqueue, prepare
from core.registry import publish
from core.schemas import DatasetPreview, FineTuneRequest
from core.store import Store, runs
from core.store.ids import canonical_digest
from core.store.tables import IdempotencyKey, Worker, utc_now

FRESH_HEARTBEAT = timedelta(seconds=60)
# Below, AdamW hardly moves a converged detector in a few epochs; above, it forgets (docs/training.md).
_USUAL_LEARNING_RATE = (1e-5, 1e-3)
_FEW_BOXES = 10
_FEW_TEST_IMAGES = 100
# A process in between, so that the worker is nobody's child: a door would have to wait for its end, and a
# terminal that is closed would take it along.
_LAUNCH = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"


@dataclass(frozen=True)
class Submission:
    """A run that was handed in, or the one that an idempotency key already stood for."""

    run_id: str
    is_new: bool


def submit(
    store: Store, request: FineTuneRequest, *, source: str, actor: str, idempotency_key: str | None = None
) -> Submission:
    """Write batch, samples, run, idempotency key and queue entry in one transaction, and see to a worker.

    Args:
        store: Where all that goes.
        request: What was posted.
        source: The door: `api` or `dashboard`.
        actor: Who posted it.
        idempotency_key: The caller's name for this request; handed in again, it names the same run.

    Raises:
        IdempotencyConflict: If the key came with another body before.
    """
    body_digest = canonical_digest(request.model_dump(mode="json"))
    prepare(store)
    try:
        with store.database.write() as session:
            known = _known_run(session, idempotency_key, body_digest)
            submission = known or _new_run(store, session, request, source, actor)
            if idempotency_key is not None and known is None:
                key = IdempotencyKey(key=idempotency_key, body_digest=body_digest, run_id=submission.run_id)
                session.add(key)
    except IntegrityError:
        # Another process wrote the same key between our look and our commit.
        with store.database.read() as session:
            known = _known_run(session, idempotency_key, body_digest)
        if known is None:
            raise
        submission = known
    ensure_worker(store)
    return submission


def _known_run(session: Session, key: str | None, body_digest: str) -> Submission | None:
    row = session.get(IdempotencyKey, key) if key is not None else None
    if row is None:
        return None
    if row.body_digest != body_digest:
        raise IdempotencyConflict(
            f"The key {key!r} stands for run {row.run_id}, which had another body. "
            "Use a new key for a new request, or send the same body again."
        )
    return Submission(row.run_id, is_new=False)


def _new_run(store: Store, session: Session, request: FineTuneRequest, source: str, actor: str) -> Submission:
    run = trainer.accept(session, request, source=source, actor=actor)
    enqueue(store, session, run.id)
    return Submission(run.id, is_new=True)


def preview(store: Store, request: FineTuneRequest) -> DatasetPreview:
    """What a run would learn from, and what to mind; nothing is fetched and nothing starts.

    Raises:
        BaseSetMissing: If there is no base set.
        BaseSetInvalid: If it cannot be read.
        ClassMapMismatch: If it does not name the live model's classes.
    """
    base = read_base_set(store.settings.base_set_root)
    live = publish.champion(store)
    base = base.in_order_of(live.class_names) if live else base
    replay = 0 if request.replay_strategy == "none" else min(request.train_replay, len(base.train.images))
    return DatasetPreview(
        feedback_samples=len(request.images),
        replay_samples=replay,
        dataset_size=len(request.images) + replay,
        boxes_per_class=_posted_boxes(request, base.class_names),
        base_images=len(base.train.images),
        base_boxes_per_class=boxes_per_class(base.train.images, base.class_names),
        warnings=_warnings(request, base),
        hyperparameters=request.hyperparameters,
    )


def _posted_boxes(request: FineTuneRequest, class_names: tuple[str, ...]) -> dict[str, int]:
    known = dict(enumerate(class_names))
    posted = (detection for image in request.images for detection in image.detections)
    named = (
        box.class_name or known.get(box.class_id or 0, f"unknown class {box.class_id}") for box in posted
    )
    return {**dict.fromkeys(class_names, 0), **Counter(named)}


def _warnings(request: FineTuneRequest, base: BaseSet) -> list[str]:
    boxes = _posted_boxes(request, base.class_names)
    lowest, highest = _USUAL_LEARNING_RATE
    found = [
        (bool(base.notes), " ".join(base.notes)),
        (
            not lowest <= request.learning_rate <= highest,
            f"The learning rate {request.learning_rate:g} is outside the usual {lowest:g} to {highest:g}.",
        ),
        (
            request.train_replay == 0 or request.replay_strategy == "none",
            "No base image is replayed: what the detector knew may be forgotten. Set train_replay.",
        ),
        (
            len(base.test.images) < _FEW_TEST_IMAGES,
            f"The base test set has {len(base.test.images)} images: a small change may be chance.",
        ),
    ]
    rare = [f"{name} has {count}" for name, count in boxes.items() if 0 < count < _FEW_BOXES]
    found.append((bool(rare), f"Classes with fewer than {_FEW_BOXES} posted boxes: {', '.join(rare)}."))
    unknown = [name for name in boxes if name not in base.class_names]
    found.append(
        (bool(unknown), f"Images with {', '.join(unknown)} would be put aside: the model has no such class.")
    )
    return [text for applies, text in found if applies]


def live_workers(store: Store) -> list[Worker]:
    """Workers with a fresh heartbeat, newest first."""
    query = (
        sa.select(Worker)
        .where(Worker.heartbeat_at > utc_now() - FRESH_HEARTBEAT)
        .order_by(Worker.started_at.desc())
    )
    with store.database.read() as session:
        return list(session.scalars(query))


def worker_lock(settings: Settings) -> FileLock:
    """The lock that a worker holds while it lives: one worker a host and home."""
    return FileLock(settings.data_dir / "worker.lock")


def ensure_worker(store: Store) -> None:
    """Start a detached local worker if a run needs one, and none lives here or on another host.

    It ends by itself when nothing is queued for a while. If two doors start one at once, the second
    worker finds the lock taken and ends.
    """
    if not store.settings.worker_autostart or not runs.need_worker(store) or _worker_lives(store):
        return
    with (store.settings.logs_dir / "worker.log").open("ab") as log:
        subprocess.run(
            [sys.executable, "-c", _LAUNCH, sys.executable, "-m", "core.jobs.worker", "--exit-when-idle"],
            cwd=CHECKOUT,
            env={**os.environ, **store.settings.environment()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )


def _worker_lives(store: Store) -> bool:
    if any(worker.host != platform.node() for worker in live_workers(store)):
        return True
    lock = worker_lock(store.settings)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False
