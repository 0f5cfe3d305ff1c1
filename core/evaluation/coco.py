"""Matching as COCO does it, by hotcoco: which detection finds which box, at ten IoU thresholds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

from core.errors import DifferentSets
from core.evaluation.detections import Detections, FloatArray, IntArray, Truth

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
AT_IOU_50 = 0
"""Position of IoU 0.50 among the thresholds."""
# Ultralytics keeps up to 300 detections an image; COCO's own 100 would cut some of them.
MOST_DETECTIONS = 300
_ANY_AREA = [0.0, 1e10]


@dataclass(frozen=True)
class ClassMatches:
    """How one class' detections of a set meet its boxes.

    Detections are sorted by falling confidence; of equal ones the earlier image's come first.

    Attributes:
        class_id: The class.
        confidence: Shape `(detections,)`.
        image: Position of each detection's image, shape `(detections,)`.
        is_hit: Whether a detection finds a box, at each IoU threshold, shape `(10, detections)`.
        boxes_per_image: How many boxes of the class each image has, shape `(images,)`.
    """

    class_id: int
    confidence: FloatArray
    image: IntArray
    is_hit: NDArray[np.bool_]
    boxes_per_image: IntArray

    @property
    def box_count(self) -> int:
        """Boxes of the class in the set."""
        return int(self.boxes_per_image.sum())


def require_one_digest(digests: Collection[str]) -> None:
    """Refuse to relate figures of different sets.

    Raises:
        DifferentSets: If these are not all the same digest.
    """
    if len(set(digests)) > 1:
        named = " and ".join(sorted(digest[:12] for digest in set(digests)))
        raise DifferentSets(
            f"These figures are of different image sets ({named}) and cannot be compared. "
            "Score both checkpoints on the same set."
        )


def evaluator(truth: Truth, detections: Detections, class_names: Sequence[str]) -> COCOeval:
    """hotcoco's evaluator, evaluated and accumulated, over all areas and up to 300 detections an image.

    Raises:
        DifferentSets: If the detections are of another set.
    """
    require_one_digest([truth.set_digest, detections.set_digest])
    images = [{"id": n, "width": int(w), "height": int(h)} for n, (w, h) in enumerate(truth.sizes_px)]
    classes = [{"id": class_id, "name": name} for class_id, name in enumerate(class_names)]
    there = COCO.from_arrays(images, classes, truth.image, truth.class_id, _xywh(truth.xyxy))
    columns = (detections.image, _xywh(detections.xyxy), detections.confidence, detections.class_id)
    run = COCOeval(there, there.load_res(np.column_stack(columns)), "bbox")
    run.params.max_dets = [1, 10, MOST_DETECTIONS]
    run.params.area_rng, run.params.area_rng_lbl = [_ANY_AREA], ["all"]
    run.evaluate()
    run.accumulate()
    return run


def _xywh(xyxy: FloatArray) -> FloatArray:
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def match(truth: Truth, detections: Detections, class_names: Sequence[str]) -> tuple[ClassMatches, ...]:
    """Match every detection once, for each class of `class_names`.

    Raises:
        DifferentSets: If the detections are of another set.
    """
    found = _hits(evaluator(truth, detections, class_names), len(detections))
    return tuple(_of_class(truth, detections, *found, class_id) for class_id in range(len(class_names)))


def _hits(run: COCOeval, detection_count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each detection counts, and whether it finds a box, at each threshold."""
    is_counted = np.zeros(detection_count, bool)
    is_hit = np.zeros((len(IOU_THRESHOLDS), detection_count), bool)
    for entry in run.eval_imgs:
        if entry and entry["dtIds"]:
            # hotcoco numbers detections from 1, in the order that it was given them.
            rows = np.array(entry["dtIds"]) - 1
            is_counted[rows] = True
            is_hit[:, rows] = entry["dtMatched"]
    return is_counted, is_hit


def _of_class(
    truth: Truth,
    detections: Detections,
    is_counted: NDArray[np.bool_],
    is_hit: NDArray[np.bool_],
    class_id: int,
) -> ClassMatches:
    rows = np.flatnonzero(is_counted & (detections.class_id == class_id))
    rows = rows[np.argsort(-detections.confidence[rows], kind="stable")]
    images = truth.image[truth.class_id == class_id]
    return ClassMatches(
        class_id=class_id,
        confidence=detections.confidence[rows],
        image=detections.image[rows],
        is_hit=is_hit[:, rows],
        boxes_per_image=np.bincount(images, minlength=truth.image_count).astype(np.int64),
    )
