"""What the champion sees in feedback images, kept by checkpoint and image: each is looked at only once."""

from collections.abc import Sequence
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.feedback.boxes import PredictedDetection
from core.store import Store
from core.store.tables import Batch, Prediction, Sample

_LOCK = "predictions"


def keep(
    store: Store,
    session: Session,
    checkpoint_id: str,
    blob_sha256: str,
    detections: Sequence[PredictedDetection],
) -> None:
    """Keep what a checkpoint sees in an image, in the caller's transaction; a repetition changes nothing."""
    # Another host may look at the same image.
    store.database.exclusive(session, _LOCK)
    if session.get(Prediction, (checkpoint_id, blob_sha256)) is None:
        session.add(
            Prediction(checkpoint_id=checkpoint_id, blob_sha256=blob_sha256, detections=list(detections))
        )
        session.flush()


def known(session: Session, checkpoint_id: str, batch_id: str) -> set[str]:
    """sha256 of the images of a batch that the checkpoint has looked at."""
    query = (
        sa.select(Prediction.blob_sha256)
        .join(Sample, Sample.blob_sha256 == Prediction.blob_sha256)
        .where(Prediction.checkpoint_id == checkpoint_id, Sample.batch_id == batch_id)
    )
    return set(session.scalars(query))


def of_sample(session: Session, sample: Sample) -> list[PredictedDetection] | None:
    """What the champion of before saw in a sample's image; None as long as it has not looked at it."""
    champion_id = session.get_one(Batch, sample.batch_id).champion_id
    if champion_id is None or sample.blob_sha256 is None:
        return None
    prediction = session.get(Prediction, (champion_id, sample.blob_sha256))
    return cast(list[PredictedDetection], prediction.detections) if prediction else None
