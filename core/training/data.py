"""Images and labels for Ultralytics, straight from a dataset revision: no scan, no cache files."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from ultralytics.data.build import seed_worker
from ultralytics.data.dataset import YOLODataset

from core.dataset.images import LabelledImage

# Ultralytics pads validation images by half a stride; other values move its figures.
_VALIDATION_PAD = 0.5


class LabelledDataset(YOLODataset):  # type: ignore[misc]
    """A YOLO dataset whose labels are given.

    Ultralytics' own would scan the folders, write caches beside them, rewrite truncated JPEGs in place,
    and drop an image with one bad box with only a log line.
    """

    def __init__(self, images: Sequence[LabelledImage], **options: Any) -> None:
        """Take the labelled images, and the options of `YOLODataset`."""
        self._images = images
        super().__init__(img_path="", task="detect", **options)

    def get_img_files(self, img_path: str) -> list[str]:
        """Paths of the image files."""
        return [str(image.path) for image in self._images]

    def get_labels(self) -> list[dict[str, Any]]:
        """One Ultralytics label dictionary an image: `cls` of shape `(n, 1)`, `bboxes` xywh of `(n, 4)`."""
        return [_label_dictionary(image) for image in self._images]


def _label_dictionary(image: LabelledImage) -> dict[str, Any]:
    boxes = np.array([label.xywh for label in image.labels], dtype=np.float32).reshape(-1, 4)
    class_ids = np.array([label.class_id for label in image.labels], dtype=np.float32).reshape(-1, 1)
    return {
        "im_file": str(image.path),
        "shape": (image.height_px, image.width_px),
        "cls": class_ids,
        "bboxes": boxes,
        "segments": [],
        "keypoints": None,
        "normalized": True,
        "bbox_format": "xywh",
    }


class EpochSampler(Sampler[int]):
    """Goes through a given list of positions per epoch, in an order drawn from seed and epoch.

    With several processes each takes every n-th position, padded so that all have equally many.
    """

    def __init__(self, epochs: Sequence[Sequence[int]], seed: int, rank: int = 0, processes: int = 1) -> None:
        """Take the plan, a list of positions per epoch, and this process' share of it."""
        self._epochs, self._seed, self._rank, self._processes = epochs, seed, rank, processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        positions = list(self._epochs[self.epoch])
        np.random.default_rng([self._seed, self.epoch]).shuffle(positions)
        padding = -len(positions) % self._processes
        return iter((positions + positions[:padding])[self._rank :: self._processes])

    def __len__(self) -> int:
        return math.ceil(len(self._epochs[0]) / self._processes)


class Loader(DataLoader[Any]):
    """A data loader with the one method more that Ultralytics' training loop calls."""

    def reset(self) -> None:
        """Nothing to reset: workers are started anew each epoch."""


class TrainLoader(Loader):
    """Batches of one epoch after the other, each the same whichever was the first in this process."""

    def __init__(self, dataset: LabelledDataset, sampler: "EpochSampler", seed: int, **options: Any) -> None:
        """Take the images, the plan and the seed of the augmentation, and the options of `DataLoader`."""
        super().__init__(dataset, sampler=sampler, generator=torch.Generator(), **options)
        self._seed, self._plan = seed, sampler

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, from 0."""
        self._plan.set_epoch(epoch)
        # The loading processes draw their seeds, and so the augmentation, from it.
        self.generator.manual_seed(self._seed + epoch)


def train_loader(
    dataset: LabelledDataset, sampler: EpochSampler, batch_size: int, workers: int, seed: int
) -> TrainLoader:
    """Batches of the epoch that the sampler stands at."""
    return TrainLoader(
        dataset,
        sampler,
        seed,
        batch_size=batch_size,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        collate_fn=dataset.collate_fn,
        worker_init_fn=seed_worker,
    )


def validation_loader(
    images: Sequence[LabelledImage], arguments: Any, class_names: Sequence[str], stride: int, batch_size: int
) -> Loader:
    """Batches of images as Ultralytics validates them: letterboxed to the shapes of their batch, unaugmented.

    Args:
        images: The set, in order.
        arguments: Ultralytics' arguments, for the image size.
        class_names: Ids are positions.
        stride: The model's largest stride, in pixels.
        batch_size: Images a batch.
    """
    dataset = LabelledDataset(
        images,
        imgsz=arguments.imgsz,
        augment=False,
        hyp=arguments,
        rect=True,
        batch_size=batch_size,
        stride=stride,
        pad=_VALIDATION_PAD,
        data=data_dictionary(class_names),
    )
    return Loader(dataset, batch_size=batch_size, collate_fn=dataset.collate_fn)


def data_dictionary(class_names: Sequence[str]) -> dict[str, Any]:
    """What Ultralytics would have read from a data.yaml."""
    return {
        "names": dict(enumerate(class_names)),
        "nc": len(class_names),
        "channels": 3,
        "train": "",
        "val": "",
        "test": "",
    }
