"""What a camera writes over its picture: colour bar, read-outs, crosshair, date, side strip."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.demo.palette import PaletteName, shades

CameraName = Literal["handheld", "strip", "classic"]
WHITE, GREY, BLACK, RED = (255, 255, 255), (150, 150, 150), (0, 0, 0), (235, 40, 60)


@dataclass(frozen=True)
class Camera:
    """A camera and how it was set.

    Attributes:
        name: Which overlay it writes.
        size: Width and height of the whole picture, pixels.
        view: Width and height of the thermal part, which starts at the top left.
        palette: Its colours.
        low_c: Lower end of the colour scale, degrees Celsius.
        high_c: Upper end.
        sensor_scale: Sensor pixels per picture pixel.
    """

    name: CameraName
    size: tuple[int, int]
    view: tuple[int, int]
    palette: PaletteName
    low_c: float
    high_c: float
    sensor_scale: float


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _bar(palette: PaletteName, width: int, height: int) -> Image.Image:
    column = shades(palette)[::-1][:, None]
    return Image.fromarray(column).resize((width, height), Image.Resampling.BILINEAR)


def frame_picture(
    picture: NDArray[np.uint8], field_c: NDArray[np.float32], camera: Camera, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Put a coloured thermal picture into the frame of its camera.

    Args:
        picture: RGB, shape `(view height, view width, 3)`.
        field_c: The temperatures behind it, for the read-outs; same height and width.
        camera: Whose frame it is.
        rng: Source of date and of where the operator aimed.

    Returns:
        RGB, shape `(height, width, 3)` of the whole picture.
    """
    framed = Image.new("RGB", camera.size, WHITE)
    framed.paste(Image.fromarray(picture), (0, 0))
    _FRAMES[camera.name](framed, field_c, camera, rng)
    return np.asarray(framed)


def _aim(field_c: NDArray[np.float32], rng: np.random.Generator) -> tuple[int, int, float]:
    height, width = field_c.shape
    x, y = int(width * rng.uniform(0.4, 0.6)), int(height * rng.uniform(0.4, 0.6))
    return x, y, float(field_c[y, x])


def _draw_handheld(
    framed: Image.Image, field_c: NDArray[np.float32], camera: Camera, rng: np.random.Generator
) -> None:
    pen, unit = ImageDraw.Draw(framed), framed.width / 64
    x, y, spot_c = _aim(field_c, rng)
    _draw_panel(pen, 1.5 * unit, 2 * unit, f"    {spot_c:.1f}\N{DEGREE SIGN}C", 3.2 * unit, WHITE)
    _draw_marker(pen, 4.3 * unit, 5 * unit, unit)
    _draw_panel(pen, 1.5 * unit, 10 * unit, f"{camera.high_c:.1f}", 2.8 * unit, GREY)
    _draw_panel(pen, 1.5 * unit, framed.height - 6.5 * unit, f"{camera.low_c:.1f}", 2.8 * unit, GREY)
    pen.text((framed.width - 15 * unit, 3 * unit), "THERMO", fill=WHITE, font=_font(int(3.2 * unit)))
    tall = int(framed.height - 25 * unit)
    pen.rectangle((1.6 * unit - 1, 16 * unit - 1, 2.6 * unit, 16 * unit + tall), outline=WHITE)
    framed.paste(_bar(camera.palette, int(unit), tall), (int(1.6 * unit), int(16 * unit)))
    pen.ellipse((x - 2 * unit, y - 2.6 * unit, x + 2 * unit, y + 2.6 * unit), outline=(110, 20, 30), width=2)
    _draw_brackets(pen, (x - rng.uniform(4, 10) * unit, y - 9 * unit, x + 11 * unit, y + 4 * unit), 4 * unit)


def _draw_marker(pen: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
    _draw_cross(pen, x, y, 1.4 * unit)
    pen.ellipse((x - 0.8 * unit, y - 0.8 * unit, x + 0.8 * unit, y + 0.8 * unit), fill=RED, outline=WHITE)


def _draw_panel(
    pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: float, colour: tuple[int, int, int]
) -> None:
    font = _font(int(size))
    _, _, right, bottom = pen.textbbox((x + size / 2, y + size / 3), text, font=font)
    pen.rectangle((x, y, right + size / 2, bottom + size / 2), fill=(12, 12, 22))
    pen.text((x + size / 2, y + size / 3), text, fill=colour, font=font)


def _draw_brackets(pen: ImageDraw.ImageDraw, xyxy: tuple[float, float, float, float], arm: float) -> None:
    x_min, y_min, x_max, y_max = xyxy
    for x, inward_x in ((x_min, arm), (x_max, -arm)):
        for y, inward_y in ((y_min, arm), (y_max, -arm)):
            pen.line(((x + inward_x, y), (x, y), (x, y + inward_y)), fill=WHITE, width=2)


def _draw_classic(
    framed: Image.Image, field_c: NDArray[np.float32], camera: Camera, rng: np.random.Generator
) -> None:
    pen = ImageDraw.Draw(framed)
    width, height = camera.view
    left, head = width + 6, 18
    bar = _bar(camera.palette, max(12, (framed.width - width) // 2), height - head - 4)
    framed.paste(bar, (left, head))
    size = max(10, height // 26)
    font = _font(size)
    pen.text((left, 3), "\N{DEGREE SIGN}C", fill=BLACK, font=font)
    first = int(np.ceil(camera.low_c / 10) * 10)
    for tick_c in range(first, int(camera.high_c), 10):
        share = (camera.high_c - tick_c) / (camera.high_c - camera.low_c)
        y = head + share * bar.height
        pen.line((left + bar.width, y, left + bar.width + 5, y), fill=BLACK)
        pen.text((left + bar.width + 7, y - size / 2), f"{tick_c}", fill=BLACK, font=font)
    if rng.random() < 0.4:
        x, y_spot, _ = _aim(field_c, rng)
        _draw_cross(pen, x, y_spot, 6)


def _draw_strip(
    framed: Image.Image, field_c: NDArray[np.float32], camera: Camera, rng: np.random.Generator
) -> None:
    pen = ImageDraw.Draw(framed)
    width, height = camera.view
    framed.paste(_bar(camera.palette, max(4, width // 100), height - 2), (width, 1))
    small = _font(max(8, height // 50))
    for tick in np.linspace(0, 1, 24):
        y, celsius = 2 + tick * (height - 12), camera.high_c - tick * (camera.high_c - camera.low_c)
        pen.text((width + width // 60, y), f"{celsius:.1f}", fill=GREY, font=_font(8))
    x, y, spot_c = _aim(field_c, rng)
    _draw_cross(pen, x, y, 3)
    pen.text((x - 10, y - 16), f"{spot_c:.2f}", fill=(190, 190, 190), font=small)
    pen.text((width * 0.38, height * 0.93), _date_stamp(rng), fill=WHITE, font=_font(max(10, height // 30)))
    if rng.random() < 0.4:
        lines = f"A0\nMax = {field_c.max():.2f}\nAvg = {field_c.mean():.2f}\nMin = {field_c.min():.2f}"
        pen.text((width * 0.8, height * 0.3), lines, fill=WHITE, font=small, spacing=1)


def _draw_cross(pen: ImageDraw.ImageDraw, x: float, y: float, arm: float) -> None:
    pen.line((x - arm, y, x + arm, y), fill=WHITE)
    pen.line((x, y - arm, x, y + arm), fill=WHITE)


def _date_stamp(rng: np.random.Generator) -> str:
    month, day, minute, second = (int(rng.integers(1, top)) for top in (13, 29, 60, 60))
    return f"{month}/{day}/2025 {int(rng.integers(6, 9))}:{minute:02}:{second:02} PM"


_FRAMES = {"handheld": _draw_handheld, "strip": _draw_strip, "classic": _draw_classic}
