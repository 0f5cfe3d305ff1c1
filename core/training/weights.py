"""Reading and writing weights files."""

import os
import pickle
from copy import deepcopy
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import BaselineUnreadable, disk_full_named

STATE_FILE = "resume.pt"
STATES_LISTED = "states.txt"
"""The state after an epoch, in a run's folder; core.training.state writes and reads it."""

_set_aside: dict[tuple[Path, int], Any] = {}


def load_model(path: Path) -> Any:
    """The detection model of a checkpoint, fp32, on the CPU, in eval mode, for the caller to change at will.

    A file that was read before in this process is not read again: a warm runner has the champion at hand.

    Raises:
        BaselineUnreadable: If the file is no YOLO detection checkpoint.
    """
    ready = _set_aside.pop(_version_of(path), None)
    _set_aside.clear()
    return deepcopy(_read_model(*_version_of(path))) if ready is None else ready


def set_aside(path: Path) -> None:
    """Have the model at hand for the next caller of `load_model`, who need not wait for the copy.

    It is dropped if he asks for another file, or for what the file holds after a change.
    """
    _set_aside.clear()
    _set_aside[_version_of(path)] = deepcopy(_read_model(*_version_of(path)))


def _version_of(path: Path) -> tuple[Path, int]:
    return path, path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=2)
def _read_model(path: Path, changed_ns: int) -> Any:
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint

    try:
        model, _ = load_checkpoint(str(path))
    except (OSError, RuntimeError, TypeError, KeyError, EOFError, AttributeError, ImportError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise BaselineUnreadable(f"{path} cannot be loaded as YOLO weights: {error}") from error
    if not isinstance(model, DetectionModel):
        raise BaselineUnreadable(f"{path} holds a {type(model).__name__}, not a YOLO detection model.")
    return model


def class_names_of(model: Any) -> tuple[str, ...]:
    """The model's class names; ids are positions."""
    return tuple(str(model.names[class_id]) for class_id in sorted(model.names))


def save_model(model: Any, path: Path) -> None:
    """Write a model as a checkpoint that plain Ultralytics loads, whole or not at all.

    The weights stay fp32: Ultralytics' own fp16 would lose what blending and judging need.

    Raises:
        DiskFull: If there is no space; nothing is left at `path`.
    """
    import torch
    from ultralytics import __version__

    checkpoint = {
        "model": model,
        "train_args": dict(model.args) if isinstance(model.args, dict) else vars(model.args),
        "date": datetime.now(UTC).isoformat(),
        "version": __version__,
        "license": "AGPL-3.0",
    }
    partial = path.with_suffix(".partial")
    try:
        with disk_full_named("the candidate's weights"), partial.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
