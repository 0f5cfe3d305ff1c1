"""The demo baseline: a small YOLO detector taught on the demo base set from nothing, in about a minute."""

import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import DetectionModel

from core.dataset.base_set import BaseSet, read_base_set
from core.training.data import EpochSampler, LabelledDataset, data_dictionary, train_loader
from core.training.weights import save_model

OnProgress = Callable[[str, float], None]
PHASE = "Teaching the demo baseline"
IMAGE_SIZE = 256
EPOCHS = 8
BATCH_SIZE = 4
SEED = 1337

# YOLOv8 in Ultralytics' notation, with half the channels of its smallest published size: on two cores a step
# takes half as long, and the same modules stand at the same places, so `freeze` means what it always means.
_WIDTH = 0.125
_ARCHITECTURE = {
    "nc": 5,
    "scale": "n",
    "scales": {"n": [0.33, _WIDTH, 1024]},
    "backbone": [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 3, "C2f", [128, True]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 6, "C2f", [256, True]],
        [-1, 1, "Conv", [512, 3, 2]],
        [-1, 6, "C2f", [512, True]],
        [-1, 1, "Conv", [1024, 3, 2]],
        [-1, 3, "C2f", [1024, True]],
        [-1, 1, "SPPF", [1024, 5]],
    ],
    "head": [
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 6], 1, "Concat", [1]],
        [-1, 3, "C2f", [512]],
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 3, "C2f", [256]],
        [-1, 1, "Conv", [256, 3, 2]],
        [[-1, 12], 1, "Concat", [1]],
        [-1, 3, "C2f", [512]],
        [-1, 1, "Conv", [512, 3, 2]],
        [[-1, 9], 1, "Concat", [1]],
        [-1, 3, "C2f", [1024]],
        [[15, 18, 21], 1, "Detect", ["nc"]],
    ],
}


class _MemoryDataset(LabelledDataset):
    """Keeps its images decoded and resized in memory; Ultralytics' own way would draw on the terminal."""

    def cache_images(self) -> None:
        """Decode every image once."""
        for index in range(self.ni):
            self.ims[index], self.im_hw0[index], self.im_hw[index] = self.load_image(index)


class BaselineTrainer(DetectionTrainer):  # type: ignore[misc]
    """Ultralytics' trainer on a base set, from random weights, without validation or files of its own."""

    def get_dataset(self) -> dict[str, Any]:
        """Read the base set by our own reader, which writes no cache files beside it."""
        self.base_set: BaseSet = read_base_set(Path(self.args.data))
        return data_dictionary(self.base_set.class_names)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> DetectionModel:
        """The small architecture with random weights."""
        return DetectionModel(deepcopy(_ARCHITECTURE), nc=self.data["nc"], verbose=False)

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> Any:
        """Loader of the train split, which also stands in for the other: nothing is validated here."""
        if mode == "val":
            return self.train_loader
        images = self.base_set.train.images
        dataset = _MemoryDataset(
            images, imgsz=self.args.imgsz, hyp=self.args, batch_size=batch_size, data=self.data, cache=True
        )
        sampler = EpochSampler([range(len(images))] * self.epochs, self.args.seed)
        return train_loader(dataset, sampler, batch_size, workers=0, seed=self.args.seed)

    def _setup_train(self) -> None:
        super()._setup_train()
        # Steps this small gain little from a second thread and lose much when something else wants its core;
        # and one thread gives the same weights whatever the number of cores.
        torch.set_num_threads(1)
        # A fifth faster on a CPU.
        self.model.to(memory_format=torch.channels_last)

    def _model_train(self) -> None:
        super()._model_train()
        self.train_loader.sampler.set_epoch(self.epoch)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch as floats, in the memory layout of the model."""
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return batch

    def validate(self) -> tuple[dict[str, float], None]:
        """Nothing: every second goes into learning."""
        return {}, None

    def save_model(self) -> bool:
        """Nothing: the weights are written once, at the end."""
        return False

    def final_eval(self) -> None:
        """Nothing: the baseline is judged like any other champion."""


def train_baseline(
    base_set_root: Path,
    weights_path: Path,
    *,
    on_progress: OnProgress,
    epochs: int = EPOCHS,
    image_size: int = IMAGE_SIZE,
) -> None:
    """Teach a detector and write its weights, whole or not at all.

    `core.training.isolation.isolate` must have been called in this process.

    Args:
        base_set_root: A base set in YOLO layout.
        weights_path: Takes the checkpoint, fp32, which plain Ultralytics loads.
        on_progress: Told the phase and the share of the training that is done, 0 to 1.
        epochs: Passes over the train split.
        image_size: Longer side of the training image in pixels, a multiple of 32.

    Raises:
        TmsError: If the base set cannot be read or the disk is full.
    """
    weights_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = BaselineTrainer(overrides=_arguments(base_set_root, Path(folder), epochs, image_size))
        trainer.add_callback("on_train_batch_end", _progress_callback(on_progress))
        trainer.train()
    save_model(_bare_model(trainer), weights_path)


def _arguments(base_set_root: Path, folder: Path, epochs: int, image_size: int) -> dict[str, Any]:
    return {
        "model": "yolov8n.yaml",  # a name that Ultralytics accepts; get_model builds another
        "data": str(base_set_root),
        "project": str(folder),
        "name": "train",
        "device": "cpu",
        "epochs": epochs,
        "imgsz": image_size,
        "batch": BATCH_SIZE,
        "nbs": BATCH_SIZE,
        "seed": SEED,
        # In so few steps this learned most; half the rate, twice the batch and AdamW each reached less.
        "optimizer": "SGD",
        "lr0": 0.02,
        "lrf": 0.02,
        "cos_lr": True,
        "momentum": 0.9,
        "warmup_epochs": 1.0,
        "warmup_bias_lr": 0.02,
        "weight_decay": 5e-4,
        # Hue and saturation are temperature in a thermal image.
        "hsv_h": 0.0,
        "hsv_s": 0.0,
        "hsv_v": 0.1,
        "scale": 0.25,
        "mosaic": 0.0,
        "close_mosaic": 0,
        "erasing": 0.0,
        "amp": False,
        "deterministic": False,
        "val": False,
        "save": False,
        "plots": False,
        "verbose": False,
    }


def _progress_callback(on_progress: OnProgress) -> Callable[[Any], None]:
    step = 0

    def report(trainer: Any) -> None:
        nonlocal step
        step += 1
        on_progress(PHASE, step / (len(trainer.train_loader) * trainer.epochs))

    return report


def _bare_model(trainer: BaselineTrainer) -> Any:
    # Ultralytics fuses layers by `view`, which weights stored channels last refuse.
    model = deepcopy(trainer.ema.ema).float().to(memory_format=torch.contiguous_format)
    model.criterion, model.args = None, vars(trainer.args)
    return model
