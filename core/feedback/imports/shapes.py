"""The bounding boxes of shapes that are no upright boxes; corners in pixels, origin top left."""

import math
from collections.abc import Iterable

from core.feedback.imports.records import Xyxy


def around(points: Iterable[tuple[float, float]]) -> Xyxy:
    """The box around points.

    Raises:
        ValueError: If there is no point, or one is not finite.
    """
    points = list(points)
    if not points:
        raise ValueError("it has no corner")
    xs, ys = zip(*points, strict=True)
    return finite((min(xs), min(ys), max(xs), max(ys)))


def around_turned_box(xyxy: Xyxy, pivot: tuple[float, float], degrees: float) -> Xyxy:
    """The box around a box that was turned clockwise about a point."""
    x_min, y_min, x_max, y_max = xyxy
    corners = ((x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max))
    return around(_turned(corner, pivot, degrees) for corner in corners)


def _turned(point: tuple[float, float], pivot: tuple[float, float], degrees: float) -> tuple[float, float]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = point[0] - pivot[0], point[1] - pivot[1]
    return pivot[0] + x * cosine - y * sine, pivot[1] + x * sine + y * cosine


def around_ellipse(center: tuple[float, float], radii: tuple[float, float], degrees: float) -> Xyxy:
    """The box around an ellipse that was turned about its centre."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(radii[0] * cosine, radii[1] * sine)
    half_height = math.hypot(radii[0] * sine, radii[1] * cosine)
    x, y = center
    return finite((x - half_width, y - half_height, x + half_width, y + half_height))


def finite(xyxy: Xyxy) -> Xyxy:
    """The same corners.

    Raises:
        ValueError: If one is not finite: JSON as Python reads it, and plain text, may say NaN.
    """
    if not all(map(math.isfinite, xyxy)):
        raise ValueError("a corner is not a finite number")
    return xyxy
