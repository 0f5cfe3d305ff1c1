"""What a checkpoint sees in images, and how it scores on a frozen set of them, as Ultralytics scores it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ultralytics.cfg import get_cfg
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import scale_boxes
from ultralytics.utils.torch_utils import select_device

from core.dataset.images import ImageSet, LabelledImage
from core.evaluation.detections import Detections
from core.evaluation.metrics import ClassScore, Score
from core.feedback.boxes import MIN_SIDE_PX, PredictedDetection
from core.training.data import data_dictionary, validation_loader
from core.training.device import use_all_cores
from core.training.weights import class_names_of, load_model

_BATCH_SIZE = 16
_PLACE_DECIMALS = 2
_CONFIDENCE_DECIMALS = 4


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
    validator, model, names = _ready(weights, image_size, device, work_folder)
    detections = _run(validator, model, images, names, on_batch)
    return Scored(_score(validator, images, names), detections)


def detect(
    weights: Path,
    images: Sequence[LabelledImage],
    *,
    image_size: int,
    device: str,
    confidence: float,
) -> Iterator[tuple[LabelledImage, list[PredictedDetection]]]:
    """What a checkpoint sees, image by image, so that the caller may keep each and stop at any.

    Images go through what `score` puts them through, but one by one: what is seen in an image does not depend
    on the others.

    Args:
        weights: A YOLO detection checkpoint.
        images: Their labels are not looked at.
        image_size: Longer side, in pixels.
        device: As `resolve_device` returned it; of several GPUs the first is used.
        confidence: Leave out what the checkpoint is less sure of, 0 to 1.

    Yields:
        Each image with its detections, surest first, in pixels of the upright image, clipped to it; ordered
        by the images' shapes.

    Raises:
        BaselineUnreadable: If the weights cannot be loaded.
    """
    validator, model, names = _ready(weights, image_size, device, weights.parent)
    validator.dataloader = _loader(validator, model, images, names, 1)
    validator.init_metrics(model)
    by_path = {str(image.path): image for image in images}
    for batch in validator.dataloader:
        yield by_path[batch["im_file"][0]], _seen(validator, model, batch, confidence)


@torch.inference_mode()
def _seen(
    validator: DetectionValidator, model: Any, raw: dict[str, Any], confidence: float
) -> list[PredictedDetection]:
    batch = validator.preprocess(raw)
    # The best class of a place alone; for scores Ultralytics lists every class that a place may have.
    (found,) = non_max_suppression(
        model(batch["img"]),
        confidence,
        validator.args.iou,
        max_det=validator.args.max_det,
        end2end=validator.end2end,
    )
    scale_boxes(batch["img"].shape[2:], found[:, :4], batch["ori_shape"][0], batch["ratio_pad"][0])
    return [
        {
            "xyxy": [round(edge, _PLACE_DECIMALS) for edge in row[:4]],
            "class_id": int(row[5]),
            "confidence": round(row[4], _CONFIDENCE_DECIMALS),
        }
        for row in found.tolist()
        if min(row[2] - row[0], row[3] - row[1]) >= MIN_SIDE_PX
    ]


def _ready(
    weights: Path, image_size: int, device: str, work_folder: Path
) -> tuple[DetectionValidator, Any, tuple[str, ...]]:
    """A validator, the model on its device, and the class names."""
    model = load_model(weights)
    names = class_names_of(model)
    validator = _validator(image_size, device.split(",", maxsplit=1)[0], names, work_folder)
    return validator, model.fuse(verbose=False).to(validator.device).eval(), names


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
    # Ultralytics' own __call__ would want a data.yaml and look for its dataset and fonts on the network.
    validator.dataloader = _loader(validator, model, images.images, names, _BATCH_SIZE)
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


def _loader(
    validator: DetectionValidator,
    model: Any,
    images: Sequence[LabelledImage],
    names: tuple[str, ...],
    batch_size: int,
) -> Any:
    return validation_loader(images, validator.args, names, max(int(model.stride.max()), 32), batch_size)


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
