"""Samples as intake leaves them, without the images having to be fetched."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from core.feedback import corrections
from core.schemas import Detection
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Batch, Sample, SampleVerdict
from tests.factories import Xyxy, detection

FEED = "night-feed"
SIZE_PX = (64, 48)
SPOT: Xyxy = (10, 10, 30, 30)

_NUMBERS = count()

Boxes = Sequence[tuple[Xyxy, int]]


def add_batch(store: Store, **columns: Any) -> str:
    """A batch without samples."""
    with store.database.write() as session:
        batch = Batch(id=new_id("batch"), **({"source": "api", "actor": FEED} | columns))
        session.add(batch)
        return batch.id


def add_sample(store: Store, batch_id: str = "", *, boxes: Boxes = ((SPOT, 0),), **columns: Any) -> str:
    """A pending sample that was taken in, in a batch of its own unless one is named.

    An approved one was approved by intake, without a look at it.
    """
    batch_id = batch_id or add_batch(store)
    sample = Sample(id=new_id("sample"), batch_id=batch_id, **(_taken_in(next(_NUMBERS)) | columns))
    with store.database.write() as session:
        session.add(sample)
        session.flush()
        if sample.status != "quarantined":
            corrections.add(session, sample, stored(boxes), FEED)
        if sample.status == "approved":
            verdict = SampleVerdict(
                id=new_id("verdict"), sample_id=sample.id, decision="approved", actor=FEED
            )
            session.add(verdict)
    return sample.id


def _taken_in(number: int) -> dict[str, Any]:
    width_px, height_px = SIZE_PX
    return {
        "image_url": "https://images.example/1.jpg?signature=secret",
        "posted": [],
        "position": number,
        "intake_number": number,
        "status": "pending",
        "blob_sha256": "b" * 64,
        "width_px": width_px,
        "height_px": height_px,
    }


def stored(boxes: Boxes) -> list[Any]:
    """Boxes as a correction keeps them."""
    return [{"xyxy": [float(edge) for edge in xyxy], "class_id": class_id} for xyxy, class_id in boxes]


def drawn(boxes: Boxes) -> list[Detection]:
    """Boxes as a reviewer hands them in."""
    return [Detection.model_validate(detection(xyxy, class_id)) for xyxy, class_id in boxes]
