"""What stands behind and around a transformer: ground, trees, palms, houses, poles and lines."""

import numpy as np

from core.demo.canvas import Point, ThermalCanvas, Xyxy
from core.demo.transformer import curve, rectangle

Rng = np.random.Generator


def draw_ground(canvas: ThermalCanvas, rng: Rng, top: float, ambient_c: float) -> None:
    """Fill everything below `top`, with a slope and a few warmer stones."""
    slope = rng.uniform(-0.06, 0.06) * canvas.width
    right, foot = canvas.width, canvas.height
    outline = ((0, top + slope), (right, top - slope), (right, foot), (0, foot))
    canvas.shade(outline, ambient_c + rng.uniform(-2, 2), ambient_c + rng.uniform(0, 4))
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(0, canvas.width), rng.uniform(top, canvas.height)
        size = rng.uniform(0.01, 0.03) * canvas.width
        canvas.polygon(rectangle((x, y, x + size, y + 0.6 * size)), ambient_c + rng.uniform(3, 8))


def draw_tree(canvas: ThermalCanvas, rng: Rng, centre: Point, size: float, celsius: float) -> None:
    """Draw a crown of overlapping leaf clouds on a trunk."""
    x, y = centre
    canvas.line((centre, (x, y + 1.6 * size)), 0.12 * size, celsius + 1)
    for _ in range(16):
        leaves = x + rng.uniform(-0.7, 0.7) * size, y + rng.uniform(-0.5, 0.5) * size
        canvas.disc(leaves, rng.uniform(0.15, 0.4) * size, celsius + rng.uniform(-2, 1.5))


def draw_palm(canvas: ThermalCanvas, rng: Rng, top: Point, size: float, celsius: float) -> None:
    """Draw a palm: a leaning trunk and a star of drooping fronds."""
    x, y = top
    lean = rng.uniform(-0.3, 0.3) * size
    canvas.line(curve(top, (x, y + size), (x + lean, y + 3 * size)), 0.1 * size, celsius)
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(10, 16)), endpoint=False) + rng.uniform(0, 1):
        reach = size * rng.uniform(0.75, 1.1)
        tip = (x + reach * np.cos(angle), y + reach * (np.sin(angle) * 0.8 + 0.2))
        bend = (x + 0.6 * reach * np.cos(angle), y + 0.6 * reach * np.sin(angle) - 0.2 * size)
        upper, lower = curve(top, bend, tip, 8), curve(tip, (bend[0], bend[1] + 0.22 * size), top, 8)
        canvas.polygon(upper + lower, celsius + rng.uniform(-2, 1))


def draw_house(canvas: ThermalCanvas, rng: Rng, xyxy: Xyxy, celsius: float) -> None:
    """Draw a wall with a roof and a row of windows that mirror the cold sky."""
    x_min, y_min, x_max, _ = xyxy
    canvas.shade(rectangle(xyxy), celsius + 1, celsius + 3)
    roof = 0.25 * (x_max - x_min)
    canvas.polygon(((x_min - 5, y_min), ((x_min + x_max) / 2, y_min - roof), (x_max + 5, y_min)), celsius + 2)
    for left in np.linspace(x_min, x_max, 4)[:-1] + 0.08 * (x_max - x_min):
        side = 0.16 * (x_max - x_min)
        window = (float(left), y_min + side, float(left) + side, y_min + 2.2 * side)
        canvas.polygon(rectangle(window), celsius - rng.uniform(2, 6))


def draw_pole(canvas: ThermalCanvas, foot_x: float, top: Point, width: float, celsius: float) -> None:
    """Draw a tapered pole from the picture's foot up to `top`."""
    x, y = top
    outline = (
        (x - 0.35 * width, y), (x + 0.35 * width, y),
        (foot_x + 0.6 * width, canvas.height), (foot_x - 0.6 * width, canvas.height),
    )  # fmt: skip
    canvas.shade(outline, celsius, celsius + 2)


def draw_crossarm(
    canvas: ThermalCanvas, middle: Point, length: float, tilt: float, celsius: float
) -> list[Point]:
    """Draw a cross arm with three pin insulators; `tilt` in pixels over its length.

    Returns:
        The heads of the insulators, left to right, where lines are tied.
    """
    x, y = middle
    thickness = max(2.0, 0.05 * length)
    canvas.line(((x - length / 2, y + tilt / 2), (x + length / 2, y - tilt / 2)), thickness, celsius)
    heads = []
    for share in (-0.46, 0.1, 0.46):
        foot = (x + share * length, y - share * tilt)
        head = (foot[0], foot[1] - 0.13 * length)
        canvas.line((foot, head), 0.9 * thickness, celsius - 1)
        canvas.disc(head, 0.8 * thickness, celsius)
        heads.append(head)
    return heads


def draw_span(canvas: ThermalCanvas, rng: Rng, tie: Point, width: float, celsius: float) -> None:
    """Draw a line that sags from `tie` to both edges of the picture."""
    for edge in (-0.1 * canvas.width, 1.1 * canvas.width):
        end = (edge, tie[1] + rng.uniform(-0.12, 0.15) * canvas.height)
        bend = ((tie[0] + edge) / 2, max(tie[1], end[1]) + rng.uniform(0.02, 0.1) * canvas.height)
        canvas.line(curve(tie, bend, end), width, celsius)
