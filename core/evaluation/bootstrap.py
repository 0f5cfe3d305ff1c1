"""Figures under many resamples of the images, computed at once.

Each detection is matched to its boxes once. A resample only weighs images: one that was drawn twice counts
twice. So all resamples share one sorted list of detections, and only the running sums over it differ.

The figures are those that COCO's own evaluation gives for a set in which every image is repeated as often as
it was drawn. Only where detections have the very same confidence may they differ: here the copies of one
detection stand next to each other, there the order of the images decides.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.coco import AT_IOU_50, RECALL_POINTS, ClassMatches
from core.evaluation.detections import IntArray

Floats = NDArray[np.floating[Any]]

# The running sums of one chunk then fit into a processor's cache.
_ELEMENTS_A_CHUNK = 250_000


def draw(groups: IntArray, count: int, seed: int) -> Floats:
    """Draw resamples of a set: groups with replacement, as many as there are.

    Args:
        groups: The group of each image, numbered from 0, shape `(images,)`.
        count: How many resamples.
        seed: Seed of the draw.

    Returns:
        How often each image was drawn, shape `(count, images)`.
    """
    group_count = int(groups.max()) + 1
    drawn = np.random.default_rng(seed).integers(0, group_count, (count, group_count))
    drawn += group_count * np.arange(count)[:, None]
    times = np.bincount(drawn.ravel(), minlength=count * group_count).reshape(count, group_count)
    return times.astype(np.float32)[:, groups]


@dataclass(frozen=True)
class Tallies:
    """What was counted in each resample for each class, each of shape `(resamples, classes)`.

    Attributes:
        ap50_95: Average precision, mean over IoU 0.50 to 0.95; not a number where no box was drawn.
        ap50: Average precision at IoU 0.50; likewise.
        boxes: Boxes.
        claims: Detections at or above the confidence.
        hits: Those of them that find a box at IoU 0.50.
    """

    ap50_95: Floats
    ap50: Floats
    boxes: Floats
    claims: Floats
    hits: Floats

    def per_class(self) -> dict[str, Floats]:
        """Each metric from 0 to 1, shape `(resamples, classes)`; not a number where undefined."""
        return {
            "ap50_95": self.ap50_95,
            "ap50": self.ap50,
            **_rates(self.boxes, self.claims, self.hits),
        }

    def overall(self) -> dict[str, Floats]:
        """Each metric from 0 to 1, shape `(resamples,)`; not a number where undefined.

        Average precision is the mean over the classes with a box; the others count all classes together.
        """
        together = (counts.sum(axis=1) for counts in (self.boxes, self.claims, self.hits))
        return {
            "ap50_95": _mean_where_defined(self.ap50_95),
            "ap50": _mean_where_defined(self.ap50),
            **_rates(*together),
        }


def _rates(boxes: Floats, claims: Floats, hits: Floats) -> dict[str, Floats]:
    return {
        "precision": _ratio(hits, claims),
        "recall": _ratio(hits, boxes),
        "f1": _ratio(2 * hits, claims + boxes),
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _mean_where_defined(values: Floats) -> Floats:
    is_defined = ~np.isnan(values)
    return _ratio(np.where(is_defined, values, 0).sum(axis=1), is_defined.sum(axis=1).astype(values.dtype))


def tally(classes: Sequence[ClassMatches], weights: Floats, confidence: float) -> Tallies:
    """Count every class under every resample.

    Args:
        classes: The matches of one checkpoint.
        weights: How often each image was drawn, whole numbers, shape `(resamples, images)`; figures are of
            their precision.
        confidence: From which on a detection is a claim, from 0 to 1.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        averages = list(pool.map(lambda one: _average_precision(one, weights), classes))
    per_image = [_claims_per_image(one, confidence, weights.shape[1]) for one in classes]
    counts = weights @ np.array(per_image, weights.dtype).reshape(-1, weights.shape[1]).T
    boxes, claims, hits = counts[:, 0::3], counts[:, 1::3], counts[:, 2::3]
    return Tallies(
        ap50_95=np.stack([average.mean(axis=1) for average in averages], axis=1),
        ap50=np.stack([average[:, AT_IOU_50] for average in averages], axis=1),
        boxes=boxes,
        claims=claims,
        hits=hits,
    )


def _claims_per_image(matches: ClassMatches, confidence: float, image_count: int) -> list[IntArray]:
    is_claim = matches.confidence >= confidence
    is_hit = is_claim & matches.is_hit[AT_IOU_50]
    claims, hits = (np.bincount(matches.image[rows], minlength=image_count) for rows in (is_claim, is_hit))
    return [matches.boxes_per_image, claims, hits]


def _average_precision(matches: ClassMatches, weights: Floats) -> Floats:
    """At each IoU threshold, shape `(resamples, 10)`; not a number where no box was drawn."""
    rows = max(1, _ELEMENTS_A_CHUNK // max(1, len(matches.image)))
    chunks = (weights[start : start + rows] for start in range(0, len(weights), rows))
    return np.concatenate([_average_precision_of_chunk(matches, chunk) for chunk in chunks])


def _average_precision_of_chunk(matches: ClassMatches, weights: Floats) -> Floats:
    boxes = weights @ matches.boxes_per_image.astype(weights.dtype)
    seen = np.cumsum(np.take(weights, matches.image, axis=1), axis=1)
    points_reached, row = _recall_points_reached(boxes)
    average = np.empty((len(weights), len(matches.is_hit)), weights.dtype)
    for threshold, is_hit in enumerate(matches.is_hit):
        # Precision rises, and recall with it, only where a box is found.
        at = np.flatnonzero(is_hit)
        hits = np.cumsum(np.take(weights, matches.image[at], axis=1), axis=1)
        points = points_reached[row[:, None], hits.astype(np.int32)]
        average[:, threshold] = _area(hits, np.take(seen, at, axis=1), points)
    average[boxes == 0] = np.nan
    return average


def _recall_points_reached(boxes: Floats) -> tuple[NDArray[np.uint8], IntArray]:
    """How many of COCO's 101 recall points are reached, by row and hits; and each resample's row."""
    distinct, row = np.unique(boxes, return_inverse=True)
    recall = np.arange(int(distinct[-1]) + 1) / np.maximum(distinct, 1).astype(np.float64)[:, None]
    reached = np.searchsorted(RECALL_POINTS, recall.ravel(), side="right")
    return reached.astype(np.uint8).reshape(recall.shape), row


def _area(hits: Floats, seen: Floats, points: NDArray[np.uint8]) -> Floats:
    """Mean over COCO's recall points of the best precision at that recall or a higher one."""
    precision = hits / np.maximum(seen, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    new_points = np.diff(points, axis=1, prepend=np.uint8(0)).astype(hits.dtype)
    area: Floats = np.einsum("rd,rd->r", envelope, new_points)
    return area / len(RECALL_POINTS)
