"""From hyperparameters to the arguments of Ultralytics' trainer.

What Ultralytics would silently do instead is told beside each argument; docs/training.md has the long form.
"""

import os
from pathlib import Path
from typing import Any

from core.schemas import Hyperparameters

_MAX_LOADING_PROCESSES = 8


def trainer_arguments(
    hyperparameters: Hyperparameters, *, parent: Path, dataset_folder: Path, run_folder: Path, device: str
) -> dict[str, Any]:
    """Arguments that make Ultralytics train with exactly these hyperparameters.

    Args:
        hyperparameters: The run's.
        parent: Weights to start from.
        dataset_folder: Where `DatasetRevision.save` wrote.
        run_folder: Ultralytics writes under `train/` in it, and empties that for several GPUs.
        device: As `resolve_device` returned it.
    """
    asked = hyperparameters
    return {
        "model": str(parent),
        "data": str(dataset_folder),
        "project": str(run_folder),
        "name": "train",
        "exist_ok": True,
        "device": device,
        "epochs": asked.epochs,
        "batch": asked.batch_size,
        "imgsz": asked.image_size,
        "freeze": asked.freeze,
        "seed": asked.seed,
        "patience": asked.patience,
        # `auto` would ignore both learning rate and momentum.
        "optimizer": asked.optimizer,
        "lr0": asked.learning_rate,
        "momentum": asked.momentum,
        "weight_decay": asked.weight_decay,
        # 64 would gather many batches into one step, and scale the weight decay.
        "nbs": asked.batch_size,
        # A warm-up would start biases at 0.1, far above any fine-tuning rate, and delay the asked one.
        "warmup_epochs": 0.0,
        "warmup_bias_lr": asked.learning_rate,
        "cos_lr": True,
        # Hue and saturation are temperature in a thermal image.
        "hsv_h": 0.0,
        "hsv_s": 0.0,
        # In a short run mosaic would be closed before it began.
        "mosaic": 0.0,
        "close_mosaic": 0,
        "rect": False,
        "amp": "bf16" if device != "cpu" else False,
        "deterministic": False,
        "workers": min(_MAX_LOADING_PROCESSES, os.cpu_count() or 1),
        "plots": False,
        "val": True,
        "verbose": False,
    }
