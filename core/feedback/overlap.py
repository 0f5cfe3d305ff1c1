"""How far boxes overlap."""

from collections.abc import Sequence

import numpy as np


def iou_matrix(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> np.ndarray:
    """Overlap of each box of one list with each of the other, as intersection over union.

    Args:
        first: `xyxy` of n boxes.
        second: `xyxy` of m boxes.

    Returns:
        Shape `(n, m)`, from 0 to 1; a box without an area overlaps nothing.
    """
    one, other = (np.asarray(boxes, dtype=np.float64).reshape(-1, 4) for boxes in (first, second))
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    united = _areas(one)[:, None] + _areas(other)[None, :] - shared
    overlaps: np.ndarray = np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)
    return overlaps


def _areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return areas
