"""Samples with real images, as intake leaves them, for the Review screen."""

from typing import Any

from core.feedback import corrections, disagreement
from core.store import Store
from core.store.tables import Checkpoint, Prediction, Sample
from tests.factories import CLASS_NAMES, thermal_file
from tests.samples import add_sample, stored
from tests.ui import states

SIZE_PX = (320, 240)
SPOT = (80.0, 60.0, 160.0, 140.0)


def add_champion(store: Store) -> str:
    """A champion with the classes of the factories."""
    checkpoint_id = states.add_checkpoint(store)
    with store.database.write() as session:
        session.get_one(Checkpoint, checkpoint_id).class_names = list(CLASS_NAMES)
    states.promote(store, checkpoint_id)
    return checkpoint_id


def add_image(store: Store, batch_id: str, seed: int, **columns: Any) -> str:
    """A sample whose image and thumbnail are stored; it waits for review unless columns say otherwise."""
    width_px, height_px = SIZE_PX
    given = {
        "boxes": ((SPOT, 0),),
        "client_sample_id": f"T{seed}.png",
        "blob_sha256": store.blobs.put(thermal_file(seed, width_px, height_px)),
        "thumbnail_sha256": store.blobs.put(thermal_file(seed, 64, 48)),
        "width_px": width_px,
        "height_px": height_px,
    }
    return add_sample(store, batch_id, **(given | columns))


def predict(store: Store, sample_id: str, champion_id: str) -> None:
    """The champion sees something else than was posted."""
    with store.database.write() as session:
        sample = session.get_one(Sample, sample_id)
        seen = [{"xyxy": [200.0, 100.0, 260.0, 180.0], "class_id": 1, "confidence": 0.8}]
        session.add(Prediction(checkpoint_id=champion_id, blob_sha256=sample.blob_sha256, detections=seen))
        session.flush()
        disagreement.refresh(session, sample)


def correct_elsewhere(store: Store, sample_id: str, author: str) -> None:
    """Somebody else draws other boxes."""
    with store.database.write() as session:
        sample = session.get_one(Sample, sample_id)
        corrections.add(session, sample, stored([((10.0, 10.0, 50.0, 50.0), 1)]), author)
