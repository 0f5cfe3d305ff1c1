"""Samples as years of feedback leave them behind: large batches among small ones, the old ones decided."""

import random
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.store import Store
from core.store.ids import new_id
from core.store.tables import Base, Batch, Correction, Sample, SampleClass, SampleVerdict

_SMALL, _LARGE, _SMALL_TO_A_LARGE = 100, 10_000, 100
_GROUP = 8
_CLASS_WEIGHTS = (50, 30, 15, 4, 1)
_BOXES = 3
_WITHOUT_BOXES, _WITH_WARNING, _HELD_OUT, _UNSCORED, _QUARANTINED, _REJECTED = 0.2, 0.04, 0.15, 0.1, 0.05, 0.1
_UNDECIDED = 0.3
_PER_INSERT = 5_000
_TABLES: tuple[type[Base], ...] = (Sample, Correction, SampleClass, SampleVerdict)

Rows = dict[type[Base], list[dict[str, Any]]]


def fill(store: Store, count: int) -> None:
    """Write so many samples, each with its boxes, classes and verdict."""
    rng = random.Random(7)
    rows: Rows = {table: [] for table in _TABLES}
    with store.database.write() as session:
        for number, batch_id in enumerate(_batches(session, count)):
            _add(rows, rng, batch_id, number, number / count)
            if (number + 1) % _PER_INSERT == 0:
                _insert(session, rows)
        _insert(session, rows)
    if not store.database.is_sqlite:
        # As autovacuum does within a minute.
        with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))


def large_batches(session: Session) -> list[str]:
    """Ids of the large ones, oldest first."""
    many = sa.select(Sample.batch_id).group_by(Sample.batch_id).having(sa.func.count() > _SMALL)
    return list(session.scalars(many.order_by(Sample.batch_id)))


def _batches(session: Session, count: int) -> Iterator[str]:
    """The batch of each sample in turn."""
    left, number = count, 0
    while left:
        is_large = number % (_SMALL_TO_A_LARGE + 1) == _SMALL_TO_A_LARGE // 2
        size = min(left, _LARGE if is_large else _SMALL)
        batch_id = new_id("batch")
        session.execute(sa.insert(Batch).values(id=batch_id, source="api", actor="night-feed"))
        yield from [batch_id] * size
        left, number = left - size, number + 1


def _insert(session: Session, rows: Rows) -> None:
    for table in filter(rows.get, _TABLES):
        session.execute(sa.insert(table), rows[table])
        rows[table].clear()


def _add(rows: Rows, rng: random.Random, batch_id: str, number: int, age: float) -> None:
    sample = _sample(rng, batch_id, number, age)
    has_boxes = rng.random() >= _WITHOUT_BOXES
    classes = rng.choices(range(len(_CLASS_WEIGHTS)), _CLASS_WEIGHTS, k=_BOXES) if has_boxes else []
    boxes = [{"xyxy": [12.5, 30.0, 88.25, 120.0], "class_id": class_id} for class_id in classes]
    common = {"sample_id": sample["id"], "revision": 1}
    rows[Sample].append({**sample, "posted": boxes})
    rows[Correction].append(
        {**common, "id": new_id("correction"), "version": 1, "detections": boxes, "author": "night-feed"}
    )
    rows[SampleClass] += ({"class_id": one, "sample_id": sample["id"]} for one in sorted(set(classes)))
    if sample["status"] in ("approved", "rejected"):
        rows[SampleVerdict].append(
            {**common, "id": new_id("verdict"), "decision": sample["status"], "actor": "anna"}
        )


def _sample(rng: random.Random, batch_id: str, number: int, age: float) -> dict[str, Any]:
    group, digest = number // _GROUP, f"{number:064x}"
    digests = ("source_sha256", "blob_sha256", "pixel_sha256", "thumbnail_sha256")
    has_warnings = rng.random() < _WITH_WARNING
    warning = {"code": "near_duplicate", "detail": "It looks like an earlier image."}
    return {
        **dict.fromkeys(digests, digest),
        "id": new_id("sample"),
        "batch_id": batch_id,
        "position": number,
        "image_url": f"https://images.example/{group}/{number}.jpg?signature={digest}",
        "client_sample_id": f"T{group % 997}/{number:06d}",
        "client_sample_id_lower": f"t{group % 997}/{number:06d}",
        "group": f"T{group}",
        "status": _status(rng, age),
        "is_holdout": random.Random(group).random() < _HELD_OUT,
        "width_px": 640,
        "height_px": 480,
        "perceptual_hash": digest[-16:],
        "cluster": digest,
        "intake_number": number,
        "warnings": [warning] if has_warnings else [],
        "has_warnings": has_warnings,
        "disagreement": None if rng.random() < _UNSCORED else round(rng.random(), 4),
        "revision": 1,
    }


def _status(rng: random.Random, age: float) -> str:
    if rng.random() < _QUARANTINED:
        return "quarantined"
    if age > 1 - _UNDECIDED:
        return "pending"
    return "rejected" if rng.random() < _REJECTED else "approved"
