"""Heat where it should not be: the four faults, drawn on a healthy transformer with their exact boxes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.demo.canvas import ThermalCanvas, Xyxy, bounds
from core.demo.transformer import Anatomy, Wire

CLASS_NAMES = (
    "Full wire overload",
    "Loose Joint -Faulty",
    "Loose Joint -Potential",
    "Point Overload - Faulty",
    "normal",
)
FULL_WIRE, LOOSE_JOINT, MILD_JOINT, POINT_OVERLOAD, NORMAL = range(len(CLASS_NAMES))

# A hot spot has faded to about 6 % of its rise at 1.3 radii: nothing to see beyond.
_SPOT_EDGE = 1.2


@dataclass(frozen=True)
class DrawnBox:
    """One object of a scene; `xyxy` in absolute pixels, within the picture."""

    class_id: int
    xyxy: Xyxy


def heat_wire(canvas: ThermalCanvas, anatomy: Anatomy, rng: np.random.Generator) -> Xyxy:
    """Run one whole conductor hot, unevenly along its length."""
    wire: Wire = anatomy.wires.pop(int(rng.integers(len(anatomy.wires))))
    width = wire.width * rng.uniform(1.1, 1.6)
    celsius = rng.uniform(48, 62)
    stretches = np.linspace(0, 1, 5), rng.normal(0, 6, 5)
    for index, (start, end) in enumerate(pairwise(wire.points)):
        here_c = celsius + float(np.interp(index / len(wire.points), *stretches))
        canvas.line((start, end), width, here_c)
        canvas.disc(end, width / 2, here_c)
    return bounds(wire.points, margin=width / 2)


def _heat_joint(canvas: ThermalCanvas, anatomy: Anatomy, rng: np.random.Generator, rise_c: float) -> Xyxy:
    joint = anatomy.joints.pop(int(rng.integers(len(anatomy.joints))))
    radius = joint.radius * rng.uniform(1.6, 2.3)
    x, y = joint.centre
    tall = radius * rng.uniform(0.9, 1.35)
    canvas.warm(joint.centre, radius, tall, 0.9 * rise_c)
    canvas.warm(joint.centre, 2 * radius, 2 * tall, 0.1 * rise_c)
    reach_x, reach_y = _SPOT_EDGE * radius, _SPOT_EDGE * tall
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y


def heat_joint(canvas: ThermalCanvas, anatomy: Anatomy, rng: np.random.Generator) -> Xyxy:
    """Let one joint run far hotter than its neighbours."""
    return _heat_joint(canvas, anatomy, rng, rng.uniform(32, 46))


def warm_joint(canvas: ThermalCanvas, anatomy: Anatomy, rng: np.random.Generator) -> Xyxy:
    """Let one joint run somewhat warmer than its neighbours."""
    return _heat_joint(canvas, anatomy, rng, rng.uniform(13, 19))


def heat_body(canvas: ThermalCanvas, anatomy: Anatomy, rng: np.random.Generator) -> Xyxy:
    """Heat one spot of a tank, radiator or winding, which is then no longer a normal body."""
    x_min, y_min, x_max, y_max = anatomy.bodies.pop(int(rng.integers(len(anatomy.bodies))))
    width, height = x_max - x_min, y_max - y_min
    radius_x, radius_y = rng.uniform(0.17, 0.28) * width, rng.uniform(0.15, 0.26) * height
    reach_x, reach_y = _SPOT_EDGE * radius_x, _SPOT_EDGE * radius_y
    x, y = rng.uniform(x_min + reach_x, x_max - reach_x), rng.uniform(y_min + reach_y, y_max - reach_y)
    rise_c = rng.uniform(24, 36)
    canvas.warm((x, y), radius_x, radius_y, 0.6 * rise_c)
    for _ in range(3):
        lobe = x + rng.uniform(-0.45, 0.45) * radius_x, y + rng.uniform(-0.45, 0.45) * radius_y
        canvas.warm(lobe, 0.55 * radius_x, 0.55 * radius_y, 0.25 * rise_c)
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y


_Heat = Callable[[ThermalCanvas, Anatomy, np.random.Generator], Xyxy]
_HEAT: dict[int, _Heat] = {
    FULL_WIRE: heat_wire,
    LOOSE_JOINT: heat_joint,
    MILD_JOINT: warm_joint,
    POINT_OVERLOAD: heat_body,
}


def draw_faults(
    canvas: ThermalCanvas, anatomy: Anatomy, faults: Sequence[int], rng: np.random.Generator
) -> tuple[DrawnBox, ...]:
    """Draw the faults and box every object: the faults, and each body that stayed healthy.

    Args:
        canvas: The healthy transformer; changed.
        anatomy: Where its parts are; each part is used up by at most one fault.
        faults: Class ids of the faults to draw, `FULL_WIRE` to `POINT_OVERLOAD`.
        rng: Source of every choice.

    Returns:
        The boxes, clipped to the picture.
    """
    boxes = [DrawnBox(fault, _HEAT[fault](canvas, anatomy, rng)) for fault in sorted(faults)]
    boxes += [DrawnBox(NORMAL, body) for body in anatomy.bodies]
    return tuple(DrawnBox(box.class_id, _clip(box.xyxy, canvas)) for box in boxes)


def _clip(xyxy: Xyxy, canvas: ThermalCanvas) -> Xyxy:
    x_min, y_min, x_max, y_max = xyxy
    clipped = max(0, x_min), max(0, y_min), min(canvas.width, x_max), min(canvas.height, y_max)
    return round(clipped[0], 1), round(clipped[1], 1), round(clipped[2], 1), round(clipped[3], 1)
