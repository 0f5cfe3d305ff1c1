"""Seeded synthetic thermal pictures of distribution transformers, with exact boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.demo.canvas import ThermalCanvas
from core.demo.faults import DrawnBox, draw_faults
from core.demo.overlay import Camera, frame_picture
from core.demo.palette import PaletteName, colourise
from core.demo.views import DRAW_VIEW, Build, ViewName

VIEW_NAMES: tuple[ViewName, ...] = ("yard", "pole", "front")


@dataclass(frozen=True)
class Transformer:
    """One transformer and the camera that follows it through the years."""

    view: ViewName
    build: Build
    camera: Camera


@dataclass(frozen=True)
class Scene:
    """One picture.

    Attributes:
        image: RGB, shape `(H, W, 3)`.
        field_c: Temperatures of the thermal part, degrees Celsius, shape `(h, w)`; same origin as `image`.
        boxes: Every object in it.
    """

    image: NDArray[np.uint8]
    field_c: NDArray[np.float32]
    boxes: tuple[DrawnBox, ...]


def make_transformer(seed: int, number: int, palettes: Sequence[PaletteName] | None = None) -> Transformer:
    """The transformer with this number; the same for the same seed.

    Args:
        seed: Seed of the whole set.
        number: Number of the transformer; successive numbers take turns with the three views.
        palettes: What its camera may be set to; by default what is usual for its view.
    """
    rng = np.random.default_rng((seed, number))
    view = VIEW_NAMES[number % len(VIEW_NAMES)]
    build = Build(
        ambient_c=rng.uniform(18, 28),
        load_rise_c=rng.uniform(9, 18),
        size=rng.uniform(0, 1),
        aspect=rng.uniform(0.85, 1.1),
        fin_count=int(rng.integers(9, 17)),
        side=int(rng.choice([-1, 1])),
        is_round=bool(rng.random() < 0.35),
        scenery=int(rng.integers(2**31)),
    )
    return Transformer(view, build, _CAMERAS[view](rng, build.ambient_c, palettes))


def _handheld(rng: np.random.Generator, ambient_c: float, palettes: Sequence[PaletteName] | None) -> Camera:
    side = int(rng.choice([416, 480, 512]))
    palette = rng.choice(palettes or ("rainbow", "rainbow", "arctic"))
    low_c, high_c = ambient_c - rng.uniform(4, 9), ambient_c + rng.uniform(38, 52)
    return Camera("handheld", (side, side), (side, side), palette, low_c, high_c, rng.uniform(0.3, 0.55))


def _strip(rng: np.random.Generator, ambient_c: float, palettes: Sequence[PaletteName] | None) -> Camera:
    width, height = ((640, 400), (768, 480), (616, 384))[int(rng.integers(3))]
    palette = rng.choice(palettes or ("arctic", "arctic", "arctic", "rainbow"))
    low_c, high_c = ambient_c - rng.uniform(5, 9), ambient_c + rng.uniform(34, 46)
    view = (int(0.83 * width), height)
    return Camera("strip", (width, height), view, palette, low_c, high_c, rng.uniform(0.6, 0.9))


def _classic(rng: np.random.Generator, ambient_c: float, palettes: Sequence[PaletteName] | None) -> Camera:
    width, height = ((426, 292), (560, 377), (500, 300))[int(rng.integers(3))]
    palette = rng.choice(palettes or ("rainbow", "rainbow", "rainbow", "arctic"))
    low_c, high_c = ambient_c - rng.uniform(5, 8), ambient_c + rng.uniform(38, 52)
    view = (int(0.89 * width), height)
    return Camera("classic", (width, height), view, palette, low_c, high_c, rng.uniform(0.45, 0.7))


_CAMERAS = {"yard": _handheld, "pole": _strip, "front": _classic}


def draw_scene(transformer: Transformer, faults: Sequence[int], seed: int | Sequence[int]) -> Scene:
    """Photograph a transformer once.

    Args:
        transformer: Who is in the picture.
        faults: Class ids of its faults, each at most once; none for a healthy one.
        seed: Seed of what differs from picture to picture: where the camera stood, which part fails, noise.
    """
    # A stream each, so that a fault changes nothing but its own heat.
    stand, failure, sensor, operator = np.random.default_rng(seed).spawn(4)
    camera, ambient_c = transformer.camera, transformer.build.ambient_c
    canvas = ThermalCanvas(*camera.view, ambient_c - stand.uniform(14, 24), ambient_c - stand.uniform(2, 6))
    anatomy = DRAW_VIEW[transformer.view](canvas, transformer.build, stand)
    boxes = draw_faults(canvas, anatomy, faults, failure)
    field_c = canvas.photograph(sensor, camera.sensor_scale, noise_c=sensor.uniform(0.3, 0.7))
    picture = colourise(field_c, camera.palette, camera.low_c, camera.high_c)
    return Scene(frame_picture(picture, field_c, camera, operator), field_c, boxes)
