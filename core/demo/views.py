"""Three ways a transformer is photographed. Each view draws a healthy one and notes its anatomy."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.demo import backdrop
from core.demo.canvas import Point, ThermalCanvas, Xyxy
from core.demo.transformer import (
    Anatomy,
    Joint,
    Wire,
    curve,
    draw_bushing,
    draw_can,
    draw_conservator,
    draw_fins,
    draw_tank,
    draw_wire,
    rectangle,
    soak,
)

ViewName = Literal["yard", "pole", "front"]


@dataclass(frozen=True)
class Build:
    """What stays the same in every picture of one transformer.

    Attributes:
        ambient_c: Air temperature at the site, degrees Celsius.
        load_rise_c: How much warmer the top oil is than the air under the usual load.
        size: Width of the body as a share of the picture's width, 0 far to 1 near.
        aspect: Height of the body over its width.
        fin_count: Cooling ribs of the front face.
        side: 1 if the equipment looks to the right, -1 if to the left.
        is_round: Whether a pole-mounted tank is a can rather than a box with fins.
        scenery: Seed of what stands around it.
    """

    ambient_c: float
    load_rise_c: float
    size: float
    aspect: float
    fin_count: int
    side: int
    is_round: bool
    scenery: int


def draw_yard(canvas: ThermalCanvas, build: Build, rng: np.random.Generator) -> Anatomy:
    """A transformer in its yard from a few steps away: tank, bushings, conservator, cables."""
    _draw_yard_backdrop(canvas, build)
    anatomy = Anatomy()
    width = canvas.width * (0.36 + 0.3 * build.size) * rng.uniform(0.92, 1.08)
    left = (canvas.width - width) * rng.uniform(0.3, 0.7)
    top = canvas.height * rng.uniform(0.42, 0.54)
    face = (left, top, left + width, top + width * build.aspect * 0.75)
    top_c = build.ambient_c + build.load_rise_c
    lean = build.side * width * 0.16
    _draw_conservator_on_struts(canvas, build, face)
    draw_tank(canvas, face, lean, build.fin_count, top_c, top_c - 6)
    soak(canvas, rng, face)
    anatomy.bodies.append(face)
    _draw_yard_bushings(canvas, build, rng, face, anatomy)
    return anatomy


def _draw_yard_backdrop(canvas: ThermalCanvas, build: Build) -> None:
    scenery = np.random.default_rng(build.scenery)
    ambient_c, width, height = build.ambient_c, canvas.width, canvas.height
    if scenery.random() < 0.4:
        side = width * 0.45
        left = scenery.uniform(-0.2, 0.75) * width
        backdrop.draw_house(canvas, scenery, (left, 0.3 * height, left + side, height), ambient_c - 3)
    for _ in range(int(scenery.integers(1, 4))):
        crown = (scenery.uniform(0, width), scenery.uniform(0.3, 0.6) * height)
        backdrop.draw_tree(canvas, scenery, crown, scenery.uniform(0.1, 0.22) * width, ambient_c - 2)
    for _ in range(int(scenery.integers(0, 3))):
        x = scenery.uniform(0, width)
        backdrop.draw_pole(canvas, x, (x, scenery.uniform(0, 0.3) * height), 0.04 * width, ambient_c)
    backdrop.draw_ground(canvas, scenery, scenery.uniform(0.72, 0.86) * height, ambient_c)


def _draw_conservator_on_struts(canvas: ThermalCanvas, build: Build, face: Xyxy) -> None:
    left, top, right, _ = face
    width = right - left
    centre = ((left + right) / 2 + build.side * 0.22 * width, top - 0.46 * width)
    for share in (-0.18, 0.18):
        x = centre[0] + share * width
        canvas.line(((x, centre[1]), (x, top)), 0.04 * width, build.ambient_c + 2)
    pipe = curve(centre, (centre[0], top - 0.1 * width), ((left + right) / 2, top))
    canvas.line(pipe, 0.045 * width, build.ambient_c + 0.6 * build.load_rise_c)
    celsius = build.ambient_c + 0.45 * build.load_rise_c
    draw_conservator(canvas, centre, 0.62 * width, 0.2 * width, 0.06 * build.side * width, celsius)


def _draw_yard_bushings(
    canvas: ThermalCanvas, build: Build, rng: np.random.Generator, face: Xyxy, anatomy: Anatomy
) -> None:
    left, top, right, _ = face
    width, celsius = right - left, build.ambient_c + 4
    lid = top - 0.03 * width
    for share in (0.1, 0.34, 0.58):
        at = share if build.side > 0 else 1 - share
        foot = (left + at * width, lid)
        joint = draw_bushing(canvas, foot, rng.uniform(0.24, 0.29) * width, 0.085 * width, celsius)
        anatomy.joints.append(joint)
        _draw_riser(canvas, build, rng, joint, anatomy)
    for share in (0.2, 0.42, 0.64, 0.86):
        foot = (left + share * width, top + 0.035 * width)
        anatomy.joints.append(draw_bushing(canvas, foot, 0.1 * width, 0.07 * width, celsius + 3))


def _draw_riser(
    canvas: ThermalCanvas, build: Build, rng: np.random.Generator, joint: Joint, anatomy: Anatomy
) -> None:
    x, y = joint.centre
    aside, up = rng.uniform(0.18, 0.42) * canvas.width, rng.uniform(0.1, 0.32) * canvas.height
    end = (x - build.side * aside, y - up)
    bend = (x, y - rng.uniform(0.15, 0.3) * canvas.height)
    wire = Wire(curve(joint.centre, bend, end), 0.021 * canvas.width)
    draw_wire(canvas, anatomy, wire, build.ambient_c + rng.uniform(0, 3))


def draw_pole(canvas: ThermalCanvas, build: Build, rng: np.random.Generator) -> Anatomy:
    """A transformer high on its pole, seen from the street against a cold sky."""
    scenery = np.random.default_rng(build.scenery)
    anatomy = Anatomy()
    pole_x = canvas.width * rng.uniform(0.38, 0.62)
    pole_top = (pole_x + rng.uniform(-0.02, 0.02) * canvas.width, canvas.height * rng.uniform(0.05, 0.14))
    _draw_pole_backdrop(canvas, build, scenery)
    backdrop.draw_pole(canvas, pole_x, pole_top, 0.05 * canvas.width, build.ambient_c)
    ties = _draw_crossarms(canvas, build, rng, pole_top)
    face = _pole_face(canvas, build, rng, pole_x)
    _draw_pole_body(canvas, build, face)
    soak(canvas, rng, face)
    anatomy.bodies.append(face)
    _draw_drops(canvas, build, rng, face, ties, anatomy)
    return anatomy


def _draw_pole_backdrop(canvas: ThermalCanvas, build: Build, scenery: np.random.Generator) -> None:
    width, height, celsius = canvas.width, canvas.height, build.ambient_c - 1
    for _ in range(int(scenery.integers(0, 3))):
        x = (scenery.choice([0.12, 0.85]) + scenery.uniform(-0.1, 0.1)) * width
        top = (x, scenery.uniform(0.3, 0.6) * height)
        backdrop.draw_palm(canvas, scenery, top, scenery.uniform(0.14, 0.24) * width, celsius)
    for _ in range(int(scenery.integers(0, 3))):
        crown = (scenery.uniform(0, width), scenery.uniform(0.75, 0.95) * height)
        backdrop.draw_tree(canvas, scenery, crown, scenery.uniform(0.1, 0.2) * width, celsius)
    if scenery.random() < 0.5:
        left = scenery.choice([-0.1, 0.7]) * width
        roof = scenery.uniform(0.65, 0.85) * height
        backdrop.draw_house(canvas, scenery, (left, roof, left + 0.38 * width, height), celsius + 2)


def _draw_crossarms(
    canvas: ThermalCanvas, build: Build, rng: np.random.Generator, pole_top: Point
) -> list[Point]:
    x, y = pole_top
    length = canvas.width * (0.26 + 0.2 * build.size)
    tilt = rng.uniform(-0.12, 0.12) * length
    ties: list[Point] = []
    for depth in range(1 + build.scenery % 2):
        middle = (x, y + (0.05 + 0.1 * depth) * canvas.height)
        ties = backdrop.draw_crossarm(canvas, middle, length, tilt, build.ambient_c)
        for tie in ties:
            backdrop.draw_span(canvas, rng, tie, 0.004 * canvas.width, build.ambient_c - 1)
    return ties


def _pole_face(canvas: ThermalCanvas, build: Build, rng: np.random.Generator, pole_x: float) -> Xyxy:
    width = canvas.width * (0.16 + 0.22 * build.size) * rng.uniform(0.9, 1.1)
    height = width * build.aspect * 1.15
    left = pole_x + (0.012 * canvas.width if build.side > 0 else -0.012 * canvas.width - width)
    top = min(canvas.height * rng.uniform(0.48, 0.58), 0.95 * canvas.height - height)
    return left, top, left + width, top + height


def _draw_pole_body(canvas: ThermalCanvas, build: Build, face: Xyxy) -> None:
    left, _, right, bottom = face
    top_c = build.ambient_c + build.load_rise_c
    bracket = 0.1 * (right - left)
    shelf = rectangle((left - bracket, bottom, right + bracket, bottom + bracket))
    canvas.polygon(shelf, build.ambient_c + 1)
    if build.is_round:
        draw_can(canvas, face, top_c, top_c - 7)
    else:
        draw_tank(canvas, face, build.side * 0.14 * (right - left), build.fin_count, top_c, top_c - 7)


def _draw_drops(
    canvas: ThermalCanvas,
    build: Build,
    rng: np.random.Generator,
    face: Xyxy,
    ties: list[Point],
    anatomy: Anatomy,
) -> None:
    left, top, right, _ = face
    width = right - left
    for share, tie in zip((0.18, 0.5, 0.82), ties, strict=True):
        foot = (left + share * width, top + 0.02 * width)
        joint = draw_bushing(canvas, foot, rng.uniform(0.2, 0.26) * width, 0.15 * width, build.ambient_c + 3)
        anatomy.joints.append(joint)
        bend = (joint.centre[0] + rng.uniform(-0.5, 0.9) * build.side * width, (joint.centre[1] + tie[1]) / 2)
        wire = Wire(curve(joint.centre, bend, tie), max(3.5, 0.06 * width))
        draw_wire(canvas, anatomy, wire, build.ambient_c + rng.uniform(-1, 2))


def draw_front(canvas: ThermalCanvas, build: Build, rng: np.random.Generator) -> Anatomy:
    """A dry transformer in its cell from the front: three phases between two yokes."""
    anatomy = Anatomy()
    width, height = canvas.width, canvas.height
    span = width * (0.58 + 0.22 * build.size) * rng.uniform(0.96, 1.04)
    left, top = (width - span) * rng.uniform(0.35, 0.65), height * rng.uniform(0.36, 0.42)
    bottom = min(top + 0.42 * span * build.aspect, 0.86 * height)
    _draw_cell(canvas, build, rng, (left, top, left + span, bottom))
    for phase in range(3):
        start = left + span * (phase + 0.06) / 3
        face = (start, top, start + span * 0.29, bottom)
        _draw_phase(canvas, build, rng, face, anatomy)
    _draw_links(canvas, build, rng, anatomy)
    return anatomy


def _draw_cell(canvas: ThermalCanvas, build: Build, rng: np.random.Generator, coils: Xyxy) -> None:
    left, top, right, bottom = coils
    slab, slant = 0.16 * canvas.height, rng.uniform(-0.02, 0.02) * canvas.width
    wall = rectangle((left - 0.1 * canvas.width, 0, right + 0.1 * canvas.width, top - 1.2 * slab))
    canvas.shade(wall, build.ambient_c - 2, build.ambient_c + 1)
    beam = ((left - 12, top - 1.5 * slab - slant), (right + 12, top - 1.5 * slab + slant),
            (right + 6, top - 0.5 * slab), (left - 6, top - 0.5 * slab))  # fmt: skip
    canvas.shade(beam, build.ambient_c + 3, build.ambient_c + 5)
    yoke_c = build.ambient_c + 0.6 * build.load_rise_c
    canvas.shade(rectangle((left, top - 0.5 * slab, right, top)), yoke_c, yoke_c + 2)
    canvas.shade(rectangle((left, top, right, bottom)), build.ambient_c - 4, build.ambient_c - 5)
    canvas.shade(rectangle((left - 5, bottom, right + 5, bottom + 0.6 * slab)), yoke_c - 1, yoke_c - 4)


def _draw_phase(
    canvas: ThermalCanvas, build: Build, rng: np.random.Generator, face: Xyxy, anatomy: Anatomy
) -> None:
    left, top, right, bottom = face
    top_c = build.ambient_c + 1.25 * build.load_rise_c + rng.uniform(-2, 2)
    draw_fins(canvas, rectangle(face), build.fin_count // 2, top_c, top_c - 5)
    collar = 0.05 * (bottom - top)
    canvas.shade(rectangle((left - 2, top, right + 2, top + collar)), top_c - 6, top_c - 5)
    canvas.shade(rectangle((left - 2, bottom - collar, right + 2, bottom)), top_c - 9, top_c - 9)
    soak(canvas, rng, face)
    anatomy.bodies.append(face)
    radius = 0.055 * (right - left) + 0.012 * canvas.width
    for share in (0.25, 0.75):
        centre = (left + share * (right - left), top - 0.045 * canvas.height)
        canvas.disc(centre, radius, top_c - 8)
        anatomy.joints.append(Joint(centre, radius))


def _draw_links(canvas: ThermalCanvas, build: Build, rng: np.random.Generator, anatomy: Anatomy) -> None:
    for joint in list(anatomy.joints)[::2]:
        x, _ = joint.centre
        end = (x + rng.uniform(-0.22, 0.22) * canvas.width, rng.uniform(0.0, 0.08) * canvas.height)
        bend = (x + rng.uniform(-0.16, 0.16) * canvas.width, rng.uniform(0.1, 0.25) * canvas.height)
        wire = Wire(curve(joint.centre, bend, end), 0.022 * canvas.width)
        draw_wire(canvas, anatomy, wire, build.ambient_c + rng.uniform(3, 6))


DRAW_VIEW = {"yard": draw_yard, "pole": draw_pole, "front": draw_front}
