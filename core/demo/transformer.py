"""The parts of a distribution transformer, each drawn at its healthy temperature."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from core.demo.canvas import Point, Quad, ThermalCanvas, Xyxy


@dataclass(frozen=True)
class Joint:
    """A bolted connection: terminal of a bushing or clamp of a cable; radius in pixels."""

    centre: Point
    radius: float


@dataclass(frozen=True)
class Wire:
    """A conductor as a line of points, `width` pixels thick."""

    points: Sequence[Point]
    width: float


@dataclass
class Anatomy:
    """Where the parts that can fail were drawn."""

    bodies: list[Xyxy] = field(default_factory=list)
    joints: list[Joint] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)


def rectangle(xyxy: Xyxy) -> Quad:
    """The corners of a box, clockwise from top left."""
    x_min, y_min, x_max, y_max = xyxy
    return (x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max)


def curve(start: Point, bend: Point, end: Point, steps: int = 20) -> list[Point]:
    """Points of the quadratic Bezier curve from `start` to `end`, pulled towards `bend`."""
    t = np.linspace(0, 1, steps + 1)[:, None]
    path = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(end)
    return [(float(x), float(y)) for x, y in path]


def between(start: Point, end: Point, share: float) -> Point:
    """The point `share` of the way from start to end."""
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def draw_wire(canvas: ThermalCanvas, anatomy: Anatomy, wire: Wire, celsius: float) -> None:
    """Draw a conductor and note where it runs."""
    canvas.line(wire.points, wire.width, celsius)
    anatomy.wires.append(wire)


def draw_fins(canvas: ThermalCanvas, quad: Quad, count: int, top_c: float, bottom_c: float) -> None:
    """Cover a face with cooling fins: warm ribs between cooler gaps, hottest at the oil's top."""
    top_left, top_right, bottom_right, bottom_left = quad
    canvas.shade(quad, top_c - 4, bottom_c - 3)
    for rib in range(count):
        near, far = (rib + 0.15) / count, (rib + 0.7) / count
        corners = (
            between(top_left, top_right, near),
            between(top_left, top_right, far),
            between(bottom_left, bottom_right, far),
            between(bottom_left, bottom_right, near),
        )
        canvas.shade(corners, top_c, bottom_c)


def draw_tank(
    canvas: ThermalCanvas, face: Xyxy, lean: float, fin_count: int, top_c: float, bottom_c: float
) -> None:
    """Draw the oil tank: front face with fins, the lid, a side face `lean` pixels wide (negative: left)."""
    x_min, y_min, x_max, y_max = face
    edge, far = (x_max, x_max + lean) if lean > 0 else (x_min, x_min + lean)
    rise = abs(lean) * 0.35
    side = ((edge, y_min), (far, y_min - rise), (far, y_max - rise), (edge, y_max))
    canvas.shade(side, top_c - 3, bottom_c - 4)
    lid = ((x_min, y_min), (x_max, y_min), (x_max + lean, y_min - rise), (x_min + lean, y_min - rise))
    canvas.polygon(lid, top_c - 1)
    canvas.shade(rectangle(face), top_c, bottom_c)
    inset, height = 0.06 * (x_max - x_min), y_max - y_min
    fins = (x_min + inset, y_min + 0.14 * height, x_max - inset, y_max - 0.08 * height)
    draw_fins(canvas, rectangle(fins), fin_count, top_c, bottom_c)


def draw_can(canvas: ThermalCanvas, face: Xyxy, top_c: float, bottom_c: float) -> None:
    """Draw a round pole-mounted tank: upright slices, cooler towards the sides that look away."""
    x_min, y_min, x_max, y_max = face
    sag = 0.09 * (x_max - x_min)
    canvas.ellipse((x_min, y_max - 2 * sag, x_max, y_max), bottom_c - 2)
    edges = np.linspace(x_min, x_max, 13).tolist()
    for left, right in pairwise(edges):
        aside = abs((left + right - x_min - x_max) / (x_max - x_min))
        dip = sag * (1 - (1 - aside**2) ** 0.5)
        slice_ = rectangle((left, y_min + sag, right, y_max - dip))
        canvas.shade(slice_, top_c - 5 * aside**2, bottom_c - 5 * aside**2)
    canvas.ellipse((x_min, y_min, x_max, y_min + 2 * sag), top_c - 2)


def soak(canvas: ThermalCanvas, rng: np.random.Generator, face: Xyxy) -> None:
    """Let oil and sun warm a body unevenly, by a few degrees."""
    x_min, y_min, x_max, y_max = face
    for _ in range(3):
        centre = (rng.uniform(x_min, x_max), y_min + rng.uniform(0, 0.5) * (y_max - y_min))
        canvas.warm(centre, 0.22 * (x_max - x_min), 0.18 * (y_max - y_min), rng.uniform(-3, 4.5))


def draw_bushing(
    canvas: ThermalCanvas, foot: Point, height: float, thickness: float, celsius: float
) -> Joint:
    """Draw an upright insulator with its sheds; its terminal on top is a joint."""
    x, y = foot
    canvas.line((foot, (x, y - height)), thickness * 0.55, celsius)
    for shed in np.linspace(0.15, 0.8, 4):
        middle, half = y - height * float(shed), thickness * 0.5
        canvas.ellipse((x - half, middle - half * 0.45, x + half, middle + half * 0.45), celsius - 1)
    radius = 0.45 * thickness
    canvas.disc((x, y - height), radius, celsius + 1)
    return Joint((x, y - height), radius)


def draw_conservator(
    canvas: ThermalCanvas, centre: Point, length: float, thickness: float, tilt: float, celsius: float
) -> None:
    """Draw the lying oil cylinder above a tank, warm half below; `tilt` in pixels over its length."""
    x, y = centre
    left, right = (x - length / 2, y + tilt / 2), (x + length / 2, y - tilt / 2)
    canvas.line((left, right), thickness, celsius)
    lower = 0.22 * thickness
    canvas.line(((left[0], left[1] + lower), (right[0], right[1] + lower)), 0.5 * thickness, celsius + 3)
    half = thickness / 2
    for end_x, end_y in (left, right):
        canvas.ellipse((end_x - 0.3 * half, end_y - half, end_x + 0.3 * half, end_y + half), celsius - 2)
