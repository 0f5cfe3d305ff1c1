"""Where a training stands after an epoch: all it takes to go on as if nothing had happened."""

import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.utils.torch_utils import unwrap_model

from core.errors import ResumeStateDamaged, disk_full_named

State = dict[str, Any]


def capture(trainer: Any, best: State, best_epoch: int) -> State:
    """The state of a trainer after an epoch was validated.

    Args:
        trainer: Ultralytics' trainer, between two epochs.
        best: Weights of the best epoch so far, fp32, as `state_dict` gives them.
        best_epoch: Its number, from 1.

    Returns:
        Tensors, numbers, strings and containers only, so that it can be read without running any code.
    """
    return {
        "epochs_done": trainer.epoch + 1,
        "trained_s": trainer.trained_s,
        "model": unwrap_model(trainer.model).state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "ema_updates": trainer.ema.updates,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best": best,
        "best_epoch": best_epoch,
        "best_fitness": float(trainer.best_fitness),
        "stopper": {
            "best_fitness": float(trainer.stopper.best_fitness),
            "best_epoch": int(trainer.stopper.best_epoch),
        },
        "is_over": bool(trainer.stop),
        "random": _random_state(),
    }


def restore(trainer: Any, state: State) -> None:
    """Put a freshly set-up trainer where `capture` found the other one."""
    unwrap_model(trainer.model).load_state_dict(state["model"])
    trainer.ema.ema.load_state_dict(state["ema"])
    trainer.ema.updates = state["ema_updates"]
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.best_fitness = state["best_fitness"]
    trainer.stopper.__dict__.update(state["stopper"])
    trainer.start_epoch = state["epochs_done"]
    trainer.scheduler.last_epoch = state["epochs_done"] - 1
    _age_criterion(unwrap_model(trainer.model), state["epochs_done"])
    _set_random_state(state["random"])


def _age_criterion(model: Any, epochs_done: int) -> None:
    # Models with two heads shift the weight between them from epoch to epoch.
    if getattr(model.model[-1], "one2one_cv2", None) is not None:
        model.criterion = model.init_criterion()
        model.criterion.updates = epochs_done - 1
        model.criterion.update()


def _random_state() -> State:
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_state(state: State) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def save(state: State, path: Path) -> None:
    """Write a state, whole or not at all.

    Raises:
        DiskFull: If there is no space; the state of before stays.
    """
    partial = path.with_suffix(".partial")
    try:
        with disk_full_named("the state after the epoch"), partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path) -> State | None:
    """Read what `save` wrote; None if there is none.

    Raises:
        ResumeStateDamaged: If the file cannot be read.
    """
    if not path.exists():
        return None
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise ResumeStateDamaged(
            f"{path} cannot be read: {error}. Retry the run from its start, with from_start."
        ) from error
    return state
