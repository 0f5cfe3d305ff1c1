"""Sets, labels and detections made of numbers alone, and COCO's own evaluation to compare with."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from core.evaluation.detections import Detections, Truth

CLASS_NAMES = ("hot joint", "cold joint", "overload")
SIDE_PX = 640


def make_truth(
    boxes: Sequence[Sequence[tuple[Sequence[float], int]]],
    groups: Sequence[int] | None = None,
    digest: str = "set",
) -> Truth:
    """A set of square images; for each image its boxes as `(xyxy, class_id)`."""
    flat = [(image, xyxy, class_id) for image, some in enumerate(boxes) for xyxy, class_id in some]
    return Truth(
        set_name="test",
        set_digest=digest,
        sha256=tuple(f"{image:064x}" for image in range(len(boxes))),
        sizes_px=np.full((len(boxes), 2), SIDE_PX),
        groups=np.array(groups if groups is not None else range(len(boxes)), np.int64),
        image=np.array([image for image, _, _ in flat], np.int64),
        xyxy=np.array([xyxy for _, xyxy, _ in flat], float).reshape(-1, 4),
        class_id=np.array([class_id for _, _, class_id in flat], np.int64),
    )


def make_detections(
    found: Sequence[Sequence[tuple[Sequence[float], int, float]]], digest: str = "set"
) -> Detections:
    """For each image its detections as `(xyxy, class_id, confidence)`."""
    rows = [[(*xyxy, confidence, class_id) for xyxy, class_id, confidence in some] for some in found]
    return Detections.of(digest, rows)


def random_set(seed: int, image_count: int = 12, *, is_tied: bool = False) -> tuple[Truth, Detections]:
    """Boxes of three classes, and a model that finds most, moves all, mistakes some and invents others."""
    random = np.random.default_rng(seed)
    boxes, found = [], []
    for _ in range(image_count):
        corners = random.uniform(0, 440, (random.integers(0, 5), 2))
        here = [
            ((*corner, *(corner + random.uniform(40, 200, 2))), int(random.integers(0, 3)))
            for corner in corners
        ]
        boxes.append(here)
        seen = [_seen(xyxy, class_id, random) for xyxy, class_id in here if random.random() < 0.85]
        invented = [
            _seen((x, y, x + 60, y + 60), int(random.integers(0, 3)), random)
            for x, y in random.uniform(0, 500, (random.integers(0, 4), 2))
        ]
        twice = [_seen(xyxy, class_id, random) for xyxy, class_id, _ in seen[:1]]
        found.append([(x, c, round(s, 1) if is_tied else s) for x, c, s in seen + twice + invented])
    return make_truth(boxes), make_detections(found)


def _seen(
    xyxy: Sequence[float], class_id: int, random: np.random.Generator
) -> tuple[Sequence[float], int, float]:
    mistaken = random.random() < 0.15
    seen_id = int(random.integers(0, 3)) if mistaken else class_id
    moved = np.array(xyxy) + random.normal(0, 6, 4).clip(-9, 9)
    return tuple(moved), seen_id, float(random.uniform(0.01, 1))


def repeated(truth: Truth, detections: Detections, times: Sequence[int]) -> tuple[Truth, Detections]:
    """The set in which each image stands as often as `times` says, copies next to each other."""
    order = np.repeat(np.arange(truth.image_count), times)
    boxes = [
        [(truth.xyxy[row], truth.class_id[row]) for row in np.flatnonzero(truth.image == image)]
        for image in order
    ]
    columns = (detections.xyxy, detections.class_id, detections.confidence)
    found = [
        [tuple(column[row] for column in columns) for row in np.flatnonzero(detections.image == image)]
        for image in order
    ]
    return make_truth(boxes), make_detections(found)


def oracle(truth: Truth, detections: Detections, class_names: Sequence[str] = CLASS_NAMES) -> np.ndarray:
    """Average precision by faster-coco-eval, shape `(10, classes)`; not a number where a class has no box."""
    dataset = {
        "images": [{"id": n + 1, "width": SIDE_PX, "height": SIDE_PX} for n in range(truth.image_count)],
        "categories": [{"id": class_id + 1, "name": name} for class_id, name in enumerate(class_names)],
        "annotations": [
            {
                "id": row + 1,
                "image_id": int(truth.image[row]) + 1,
                "category_id": int(truth.class_id[row]) + 1,
                "bbox": _xywh(truth.xyxy[row]),
                "area": float(np.prod(truth.xyxy[row, 2:] - truth.xyxy[row, :2])),
                "iscrowd": 0,
            }
            for row in range(len(truth.image))
        ],
    }
    results = [
        {
            "image_id": int(detections.image[row]) + 1,
            "category_id": int(detections.class_id[row]) + 1,
            "bbox": _xywh(detections.xyxy[row]),
            "score": float(detections.confidence[row]),
        }
        for row in range(len(detections))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        there = COCO(dataset)
        run = COCOeval_faster(there, there.loadRes(results), "bbox", print_function=lambda *_: None)
        run.params.maxDets = [1, 10, 300]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return np.where((precision > -1).all(axis=1), precision.mean(axis=1), np.nan)


def _xywh(xyxy: np.ndarray) -> list[float]:
    return [float(value) for value in (*xyxy[:2], *(xyxy[2:] - xyxy[:2]))]
