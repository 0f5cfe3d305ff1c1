"""Feedback, and checkpoints that learned from it, as runs leave them behind; nothing is trained."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from core.dataset import feedback_set, revision
from core.dataset.base_set import BaseSet
from core.dataset.images import ImageSet
from core.feedback import corrections
from core.registry import checkpoints, publish
from core.schemas import Hyperparameters
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Batch, Checkpoint, Correction, Run, Sample, SampleVerdict, utc_now
from tests.factories import CLASS_NAMES
from tests.unit.dataset.factories import labelled

BASE = BaseSet(
    class_names=CLASS_NAMES,
    train=ImageSet(
        name="train", images=tuple(labelled(f"train {number}", number % 2) for number in range(4))
    ),
    tune=ImageSet(name="tune", images=(labelled("tune", 0),)),
    test=ImageSet(name="test", images=(labelled("test", 0),)),
)
BOX: dict[str, Any] = {"xyxy": [8.0, 8.0, 40.0, 40.0], "class_id": 0}


def add_batch(store: Store, *contents: str, status: str = "approved", **sample: Any) -> list[str]:
    """The ids of a batch that was taken in: one sample for each content of an image."""
    with store.database.write() as session:
        batch = Batch(id=new_id("batch"), source="api", actor="feed", is_trusted=False)
        session.add(batch)
        session.flush()
        return [
            _add_sample(store, session, batch.id, position, content, status, sample)
            for position, content in enumerate(contents)
        ]


def _add_sample(
    store: Store,
    session: sa.orm.Session,
    batch_id: str,
    position: int,
    content: str,
    status: str,
    more: dict[str, Any],
) -> str:
    row = Sample(
        id=new_id("sample"),
        batch_id=batch_id,
        position=position,
        image_url=f"https://images.example/{content}.png?token=secret",
        posted=[],
        status="pending",
        blob_sha256=store.blobs.put(content.encode()),
        width_px=64,
        height_px=48,
        **more,
    )
    session.add(row)
    session.flush()
    corrections.add(session, row, [BOX], "feed")
    _decide(session, row, status)
    return row.id


def decide(store: Store, sample_id: str, decision: str) -> None:
    """Approve or reject a sample."""
    with store.database.write() as session:
        _decide(session, session.get_one(Sample, sample_id), decision)


def _decide(session: sa.orm.Session, row: Sample, status: str) -> None:
    row.status = status
    if status in ("approved", "rejected"):
        verdict = SampleVerdict(id=new_id("verdict"), sample_id=row.id, decision=status, actor="anna")
        session.add(verdict)


def correct(store: Store, sample_id: str, class_id: int) -> None:
    """A next version of the boxes: one of another class."""
    with store.database.write() as session:
        row = session.get_one(Sample, sample_id)
        corrections.add(session, row, [{**BOX, "class_id": class_id}], "ben")


def age(store: Store, sample_id: str, since: datetime) -> None:
    """Have a sample drawn and approved at a time."""
    with store.database.write() as session:
        for table in (SampleVerdict, Correction):
            session.execute(sa.update(table).where(table.sample_id == sample_id).values(created_at=since))


def fine_tuned(
    store: Store,
    sample_ids: Sequence[str] | None = None,
    *,
    parent: Checkpoint | None = None,
    is_promoted: bool = True,
    planned_epochs: int = 2,
    epochs: int | None = None,
    **hyperparameters: Any,
) -> Checkpoint:
    """A checkpoint as a run on these samples, or on all that was approved, registers it.

    Args:
        store: Where everything is.
        sample_ids: What the run learned; by default what no champion has learned.
        parent: The checkpoint it started from.
        is_promoted: Whether it became champion.
        planned_epochs: Epochs of the run's plan.
        epochs: Epochs that went into the weights; by default it was not kept.
        hyperparameters: Of the run.
    """
    with store.database.read() as session:
        new = feedback_set.new_to(session, Run(learns_from="approved"))
        if sample_ids is not None:
            new = [one for one in new if one.id in sample_ids]
        sides = new, feedback_set.learned(session), feedback_set.kept_for_judging(session)
    images = [feedback_set.labelled(store, side) for side in sides]
    asked = Hyperparameters(**{"epochs": planned_epochs, "train_replay": 0} | hyperparameters)
    digest = revision.record(store, revision.compose(BASE, *images, asked))
    return register(store, parent=parent, is_promoted=is_promoted, dataset_digest=digest, epochs=epochs)


def register(
    store: Store, *, parent: Checkpoint | None = None, is_promoted: bool = True, **more: Any
) -> Checkpoint:
    """A checkpoint of a few bytes, and maybe the champion."""
    weights = store.settings.home / "new.pt"
    weights.write_bytes(uuid4().bytes)
    made = checkpoints.register(
        store, weights, class_names=CLASS_NAMES, parent_id=parent.id if parent else None, **more
    )
    if is_promoted:
        live = publish.champion(store)
        publish.promote(store, made, instead_of=live.id if live else None, actor="anna", reason="better")
    return made


def end_run(store: Store, run_id: str, created_at: datetime | None = None) -> None:
    """Have a run that waits cancelled, as if it had been made at a time."""
    with store.database.write() as session:
        run = session.get_one(Run, run_id)
        run.status, run.created_at, run.finished_at = "cancelled", created_at or run.created_at, utc_now()
