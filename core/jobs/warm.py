"""Getting a runner ready before a run comes: the champion loaded, and a run rehearsed on drawn noise.

The rehearsal has a store of its own, in a folder that is gone afterwards: nobody sees its batch or its run.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sqlalchemy as sa
import yaml
from filelock import Timeout
from PIL import Image

from core import trainer
from core.dataset import frozen_sets
from core.dataset.revision import DatasetRevision
from core.feedback import fingerprints, uploads
from core.registry import checkpoints, publish
from core.registry.summary import hyperparameters_of
from core.schemas import FineTuneRequest, Hyperparameters
from core.store import Store, claims
from core.store.claims import Claim
from core.store.tables import Checkpoint, Run
from core.training.courier import Courier
from core.training.device import free_device_lock, resolve_device
from core.training.isolation import PRODUCT_LOGGER

# Chores may be under way on the device just now; they end at once when a run comes.
_CHORES_WAIT_S = 30.0

log = logging.getLogger(__name__)


def warm_up(store: Store) -> None:
    """Take in, train and score one batch as the newest run would, on drawn noise.

    What fails here is logged and costs only the head start.
    """
    try:
        # Its first image costs a quarter of a second: the hash brings scipy along.
        fingerprints.take(Image.new("RGB", (64, 64)))
        _rehearse(store)
        log.info("The spare runner is ready.")
    except Timeout:
        log.info("The device is in use: the spare runner has not rehearsed.")
    except Exception:
        log.exception("The spare runner could not rehearse.")


def _rehearse(store: Store) -> None:
    champion = publish.champion(store)
    if champion is None:
        return
    weights = checkpoints.verified_weights(store, champion)
    asked = _newest_hyperparameters(store).model_copy(update={"epochs": 1, "train_replay": 0, "blend": 1.0})
    device = resolve_device(asked.device or store.settings.device)
    if "," in device:
        return
    with (
        free_device_lock(store.settings, device, _CHORES_WAIT_S),
        TemporaryDirectory(dir=store.settings.data_dir) as folder,
    ):
        _walk_through(store, Path(folder), champion, weights, asked, device)
    # Its images are remembered: a run looks only whether they are still the same files.
    frozen_sets.base_set(store)


def _newest_hyperparameters(store: Store) -> Hyperparameters:
    with store.database.read() as session:
        newest = session.scalar(sa.select(Run).order_by(Run.id.desc()).limit(1))
    return hyperparameters_of(newest) if newest else Hyperparameters()


def _walk_through(
    store: Store, folder: Path, champion: Checkpoint, weights: Path, asked: Hyperparameters, device: str
) -> None:
    own = {"home": folder, "annotated_dataset_root": folder / "base_set", "pretrained_weights": weights}
    defaults = dict.fromkeys(("database_url", "blob_url", "intake_policy"), "")
    settings = store.settings.model_copy(update={**own, **defaults})
    _write_base_set(settings.base_set_root, champion.class_names, asked.image_size)
    with _unheard(), Store.open(settings, like=store.database) as scratch:
        baseline = checkpoints.register(scratch, weights, class_names=tuple(champion.class_names))
        publish.promote(scratch, baseline, instead_of=None, actor="system", reason="Rehearsal.")
        with Courier(scratch, _claimed_run(scratch, asked)) as courier:
            trainer.adopt(courier.store, courier.say)
            trainer.prepare(courier)
        _train_and_score(scratch, courier.run_id, weights, asked, device)


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep out of the worker's log what a run and a new database say of themselves: these are none."""
    loggers = [logging.getLogger(name) for name in (PRODUCT_LOGGER, "alembic")]
    for logger in loggers:
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.propagate = True


def _claimed_run(store: Store, asked: Hyperparameters) -> Claim:
    images = [_posted_noise(store, 10 + number, asked.image_size) for number in range(asked.batch_size)]
    request = FineTuneRequest.model_validate({"images": images, **asked.model_dump()})
    with store.database.write() as session:
        run = trainer.accept(session, request, source="python", actor="system")
        return claims.take(session, run, "rehearsal")


def _posted_noise(store: Store, seed: int, size_px: int) -> dict[str, object]:
    address = uploads.keep(store, _noise_file(seed, size_px), "system")
    low, high = size_px / 4, 3 * size_px / 4
    box = {"x_min": low, "y_min": low, "x_max": high, "y_max": high}
    return {"image_url": address, "detections": [{"box": box, "class_id": 0}]}


def _train_and_score(store: Store, run_id: str, weights: Path, asked: Hyperparameters, device: str) -> None:
    from core.evaluation.predict import score
    from core.training.engine import FineTuner
    from core.training.recipe import trainer_arguments
    from core.training.weights import set_aside

    folder, dataset = store.settings.run_folder(run_id), store.settings.dataset_folder(run_id)
    # From the champion's own file, which is then at hand when a run asks for it.
    arguments = trainer_arguments(
        asked, parent=weights, dataset_folder=dataset, run_folder=folder, device=device
    )
    FineTuner(overrides=arguments).train()
    test = DatasetRevision.load(dataset).test
    score(weights, test, image_size=asked.image_size, device=device, work_folder=folder)
    set_aside(weights)


def _write_base_set(root: Path, class_names: list[str], size_px: int) -> None:
    for number, split in enumerate(("train", "val", "test")):
        for part in ("images", "labels"):
            (root / split / part).mkdir(parents=True)
        (root / split / "images" / "noise.png").write_bytes(_noise_file(number, size_px))
        (root / split / "labels" / "noise.txt").write_text("0 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    splits = {split: f"{split}/images" for split in ("train", "val", "test")}
    config = {**splits, "names": list(class_names)}
    (root / "data.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def _noise_file(seed: int, size_px: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
