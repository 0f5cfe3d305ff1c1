"""A checkpoint scored on a frozen set of images, as Ultralytics scores it, with all that it saw there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ultralytics.cfg import get_cfg
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils.torch_utils import select_device

from core.dataset.images import ImageSet
from core.evaluation.detections import Detections
from core.evaluation.metrics import ClassScore, Score
from core.training.data import data_dictionary, validation_loader
from core.training.device import use_all_cores
from core.training.weights import class_names_of, load_model

_BATCH_SIZE = 16


@dataclass(frozen=True)
class Scored:
    """A score on a set, and the raw detections behind it, from which every figure can be made again."""

    score: Score
    detections: Detections


def score(
    weights: Path,
    images: ImageSet,
    *,
    image_size: int,
    device: str,
    work_folder: Path,
    on_batch: Callable[[], None] = lambda: None,
) -> Scored:
    """Score weights on a set of images.

    Args:
        weights: A YOLO detection checkpoint.
        images: The set; not empty.
        image_size: Longer side, in pixels.
        device: As `resolve_device` returned it; of several GPUs the first is used.
        work_folder: Ultralytics insists on a folder; nothing is written to it.
        on_batch: Called before each batch; may raise to stop.

    Raises:
        BaselineUnreadable: If the weights cannot be loaded.
    """
    model = load_model(weights)
    names = class_names_of(model)
    validator = _validator(image_size, device.split(",", maxsplit=1)[0], names, work_folder)
    model = model.fuse(verbose=False).to(validator.device).eval()
    detections = _run(validator, model, images, names, on_batch)
    return Scored(_score(validator, images, names), detections)


def _validator(image_size: int, device: str, names: tuple[str, ...], work_folder: Path) -> DetectionValidator:
    arguments = get_cfg(overrides={"imgsz": image_size, "plots": False, "rect": True, "mode": "val"})
    validator = DetectionValidator(save_dir=work_folder, args=vars(arguments))
    validator.device = select_device(device, verbose=False)
    if device == "cpu":
        use_all_cores()
    validator.data = data_dictionary(names)
    validator.training = False
    return validator


@torch.inference_mode()
def _run(
    validator: DetectionValidator,
    model: Any,
    images: ImageSet,
    names: tuple[str, ...],
    on_batch: Callable[[], None],
) -> Detections:
    stride = max(int(model.stride.max()), 32)
    # Ultralytics' own __call__ would want a data.yaml and look for its dataset and fonts on the network.
    validator.dataloader = validation_loader(images.images, validator.args, names, stride, _BATCH_SIZE)
    validator.init_metrics(model)
    # Batches are made of images of one shape, so they come in an order of their own.
    seen: dict[str, list[list[float]]] = {}
    for raw in validator.dataloader:
        on_batch()
        batch = validator.preprocess(raw)
        predictions = validator.postprocess(model(batch["img"]))
        validator.update_metrics(predictions, batch)
        for index, prediction in enumerate(predictions):
            seen[batch["im_file"][index]] = _rows(
                validator, prediction, validator._prepare_batch(index, batch)
            )
    return Detections.of(images.digest, [seen[str(image.path)] for image in images.images])


def _rows(
    validator: DetectionValidator, prediction: dict[str, torch.Tensor], image: dict[str, Any]
) -> list[list[float]]:
    """Corners in pixels of the upright image, confidence and class of each detection."""
    found = validator.scale_preds(prediction, image)
    columns = (found["bboxes"], found["conf"][:, None], found["cls"][:, None])
    return [[float(value) for value in row] for row in torch.cat(columns, dim=1).cpu().tolist()]


def _score(validator: DetectionValidator, images: ImageSet, names: tuple[str, ...]) -> Score:
    figures = {name: float(value) for name, value in validator.get_stats().items()}
    box = validator.metrics.box
    per_class = [
        ClassScore(
            class_id=int(class_id),
            class_name=names[class_id],
            box_count=int(validator.metrics.nt_per_class[class_id]),
            precision=float(box.p[row]),
            recall=float(box.r[row]),
            ap50=float(box.ap50[row]),
            ap50_95=float(box.ap[row]),
        )
        for row, class_id in enumerate(box.ap_class_index)
    ]
    return Score(
        set_name=images.name,
        set_digest=images.digest,
        image_count=len(images.images),
        metrics=figures,
        per_class=tuple(per_class),
    )
