"""Getting a runner ready before a run comes: the champion loaded, and its shapes stepped through once."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sqlalchemy as sa
from filelock import Timeout
from PIL import Image

from core.dataset.images import ImageSet, Label, LabelledImage
from core.dataset.revision import DatasetRevision
from core.feedback import fingerprints
from core.registry import checkpoints, publish
from core.registry.summary import hyperparameters_of
from core.schemas import Hyperparameters
from core.store import Store
from core.store.tables import Run
from core.training.device import free_device_lock, resolve_device

# Chores may be under way on the device just now; they end at once when a run comes.
_CHORES_WAIT_S = 30.0

log = logging.getLogger(__name__)


def warm_up(store: Store) -> None:
    """Train and score one batch as the newest run would, on drawn noise.

    What fails here is logged and costs only the head start.
    """
    try:
        # Its first image costs a quarter of a second: the hash brings scipy along.
        fingerprints.take(Image.new("RGB", (64, 64)))
        _step_once(store)
        log.info("The spare runner is ready.")
    except Timeout:
        log.info("The device is in use: the spare runner has not been stepped.")
    except Exception:
        log.exception("The spare runner could not be stepped.")


def _step_once(store: Store) -> None:
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
        _train_and_score(Path(folder), tuple(champion.class_names), weights, asked, device)


def _newest_hyperparameters(store: Store) -> Hyperparameters:
    with store.database.read() as session:
        newest = session.scalar(sa.select(Run).order_by(Run.id.desc()).limit(1))
    return hyperparameters_of(newest) if newest else Hyperparameters()


def _train_and_score(
    folder: Path, class_names: tuple[str, ...], weights: Path, asked: Hyperparameters, device: str
) -> None:
    from core.evaluation.predict import score
    from core.training.engine import FineTuner
    from core.training.recipe import trainer_arguments

    revision = _noise_revision(folder, class_names, asked)
    revision.save(folder)
    arguments = trainer_arguments(
        asked, parent=weights, dataset_folder=folder, run_folder=folder, device=device
    )
    FineTuner(overrides=arguments).train()
    score(weights, revision.test, image_size=asked.image_size, device=device, work_folder=folder)


def _noise_revision(folder: Path, class_names: tuple[str, ...], asked: Hyperparameters) -> DatasetRevision:
    images = tuple(_noise_image(folder, number, asked.image_size) for number in range(asked.batch_size))
    few = ImageSet(name="test", images=images[:1])
    return DatasetRevision(
        class_names=class_names,
        feedback=images,
        replay_pool=(),
        replay_plan=((),),
        tune=few,
        test=few,
        holdout=ImageSet(name="holdout", images=()),
        replay_strategy="none",
        seed=asked.seed,
    )


def _noise_image(folder: Path, number: int, size_px: int) -> LabelledImage:
    path = folder / f"{number}.png"
    pixels = np.random.default_rng(number).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, compress_level=1)
    box = Label(class_id=0, center_x=0.5, center_y=0.5, width=0.5, height=0.5)
    return LabelledImage(path=path, sha256=str(number), width_px=size_px, height_px=size_px, labels=(box,))
