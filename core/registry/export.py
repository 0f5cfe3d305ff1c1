"""Weights as ONNX, and what either kind of file sees in images.

It imports torch, so it is for processes that have it: a runner, or the one of `core.registry.separate`.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from ultralytics.data.augment import LetterBox
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import scale_boxes
from ultralytics.utils.patches import imread

from core.errors import disk_full_named
from core.registry.files import Replacement
from core.registry.parity import Seen
from core.training.weights import load_model

ONNX = ".onnx"
# Those of plain `yolo predict` (ultralytics/cfg/default.yaml).
_IOU = 0.7
_MOST_DETECTIONS = 300

Forward = Callable[[torch.Tensor], Any]


def see(weights: str, images: Sequence[str], image_size: int, confidence: float) -> list[list[Seen]]:
    """What a weights file sees in images, one after the other, on the CPU.

    PyTorch and ONNX get the same pixels and their output goes the same way, so that only they can differ.

    Args:
        weights: A YOLO detection checkpoint, or what `export_onnx` made of one.
        images: Image files.
        image_size: Side of the square that images are fitted into, in pixels.
        confidence: Leave out what it is less sure of, 0 to 1.

    Returns:
        For each image its detections, surest first, in pixels of the image.

    Raises:
        BaselineUnreadable: If the weights cannot be loaded.
    """
    forward = _onnx(weights) if weights.endswith(ONNX) else _torch(weights)
    return [list(_seen(forward, image, image_size, confidence)) for image in images]


def export_onnx(
    weights: str, target: str, image_size: int, images: Sequence[str], confidence: float
) -> list[list[list[Seen]]]:
    """Write weights as ONNX, whole or not at all: one image of `image_size` squared in, raw boxes out.

    The file carries class names and image size as plain Ultralytics writes them, and loads with
    `YOLO("….onnx")`.

    Args:
        weights: A YOLO detection checkpoint.
        target: The file to write.
        image_size: Side of the square, in pixels.
        images: Image files on which to compare.
        confidence: As for `see`.

    Returns:
        What the weights see in the images, and what the written file sees.

    Raises:
        BaselineUnreadable: If the weights cannot be loaded.
        DiskFull: If there is no space.
    """
    _write_onnx(weights, target, image_size)
    return [see(file, images, image_size, confidence) for file in (weights, target)]


def _write_onnx(weights: str, target: str, image_size: int) -> None:
    from ultralytics import YOLO

    with TemporaryDirectory() as folder, disk_full_named("the ONNX export"), Replacement() as new:
        # Ultralytics writes beside its source.
        source = Path(folder, "weights.pt")
        copyfile(weights, source)
        written = YOLO(source).export(format="onnx", imgsz=image_size, simplify=False, device="cpu")
        new.add_copy(Path(target), Path(written), "the ONNX export")
        new.commit()


def _torch(weights: str) -> Forward:
    model: Forward = load_model(Path(weights)).fuse(verbose=False).eval()
    return model


def _onnx(weights: str) -> Forward:
    import onnxruntime

    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    return lambda pixels: torch.from_numpy(session.run(None, {entry.name: pixels.numpy()})[0])


@torch.inference_mode()
def _seen(forward: Forward, image: str, image_size: int, confidence: float) -> Iterator[Seen]:
    picture = imread(image)
    fitted = LetterBox((image_size, image_size), auto=False)(image=picture)
    pixels = np.ascontiguousarray(fitted[..., ::-1].transpose(2, 0, 1), dtype=np.float32) / 255
    raw = forward(torch.from_numpy(pixels)[None])
    (found,) = non_max_suppression(raw, confidence, _IOU, max_det=_MOST_DETECTIONS)
    scale_boxes(fitted.shape[:2], found[:, :4], picture.shape[:2])
    for *xyxy, sureness, class_id in found.tolist():
        yield {"xyxy": xyxy, "class_id": int(class_id), "confidence": sureness}
