"""Ultralytics, kept to itself: no network, no analytics, no files outside our folders.

Import `torch` and `ultralytics` only after `isolate`, which must run once per process.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from core.config import Settings

PRODUCT_LOGGER = "tms"
_SPINS_BEFORE_SLEEP = "10000"
_INTEGRATIONS = (
    "clearml",
    "comet",
    "dvc",
    "hub",
    "mlflow",
    "neptune",
    "platform",
    "raytune",
    "tensorboard",
    "wandb",
)


def isolate(settings: Settings) -> None:
    """Point Ultralytics at a private configuration and switch off all that calls home.

    Args:
        settings: Say where the private configuration folder lies.
    """
    _set_environment(settings.data_dir / "ultralytics")
    _undo_what_it_changes()
    _quieten()


def _set_environment(folder: Path) -> None:
    # Read when torch is first imported. Threads that wait by spinning burn the core that another one needs;
    # those that sleep at once wake late. docs/training.md has figures.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS_BEFORE_SLEEP)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        YOLO_CONFIG_DIR=str(folder),
        YOLO_OFFLINE="true",
        YOLO_AUTOINSTALL="false",
        YOLO_VERBOSE="false",
        ULTRALYTICS_SAFE_LOAD="true",
        # These would otherwise go to the user's home and to the system's temporary folder.
        MPLCONFIGDIR=str(folder / "matplotlib"),
        TORCHINDUCTOR_CACHE_DIR=str(folder / "torchinductor"),
    )


def _undo_what_it_changes() -> None:
    from ultralytics.nn import tasks
    from ultralytics.utils import patches

    # Its own way to open a file would install a package whenever the file is no image.
    Image.open = patches._image_open
    # Weights are pickles: only classes on Ultralytics' list may be built from one. The variable above is read
    # at import, and a caller of `run_finetune` may have imported Ultralytics before.
    tasks.SAFE_LOAD = True


def _quieten() -> None:
    from ultralytics.utils import LOGGER, SETTINGS

    # What it says belongs into the log of the run, not on the console.
    for handler in [handler for handler in LOGGER.handlers if type(handler) is logging.StreamHandler]:
        LOGGER.removeHandler(handler)
    LOGGER.propagate = False
    # Below that level it would also draw progress bars on the console.
    LOGGER.setLevel(logging.WARNING)
    # The dictionary's own method, since the settings object would write each change to its file.
    for name in {"sync", *_INTEGRATIONS} & set(SETTINGS):
        dict.__setitem__(SETTINGS, name, False)


@contextmanager
def run_log(path: Path) -> Iterator[logging.Logger]:
    """Append what the product and Ultralytics log to this file while the block runs.

    Yields:
        The product's logger.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in (PRODUCT_LOGGER, "ultralytics")]
    for logger in loggers:
        logger.addHandler(handler)
    loggers[0].setLevel(logging.INFO)
    try:
        yield loggers[0]
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
