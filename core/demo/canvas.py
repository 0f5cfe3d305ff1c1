"""A picture in degrees Celsius that scene parts are drawn on, back to front."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Point = tuple[float, float]
Xyxy = tuple[float, float, float, float]
Quad = tuple[Point, Point, Point, Point]


def bounds(points: Sequence[Point], margin: float = 0.0) -> Xyxy:
    """Smallest `(x_min, y_min, x_max, y_max)` around the points, widened by `margin` pixels."""
    xs, ys = zip(*points, strict=True)
    return min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin


class ThermalCanvas:
    """Temperatures of what a camera sees; pixel coordinates, origin top left."""

    def __init__(self, width: int, height: int, top_c: float, bottom_c: float) -> None:
        """Start with a vertical ramp, as of the sky."""
        self._image = _ramp(width, height, top_c, bottom_c)
        self._pen = ImageDraw.Draw(self._image)

    @property
    def width(self) -> int:
        """Pixels across."""
        return self._image.width

    @property
    def height(self) -> int:
        """Pixels down."""
        return self._image.height

    def line(self, points: Sequence[Point], width: float, celsius: float) -> None:
        """Draw a line of even temperature, `width` pixels thick."""
        self._pen.line(list(points), fill=celsius, width=max(1, round(width)), joint="curve")

    def polygon(self, points: Sequence[Point], celsius: float) -> None:
        """Fill an outline evenly."""
        self._pen.polygon(list(points), fill=celsius)

    def ellipse(self, xyxy: Xyxy, celsius: float) -> None:
        """Fill the ellipse that touches the box."""
        self._pen.ellipse(xyxy, fill=celsius)

    def disc(self, centre: Point, radius: float, celsius: float) -> None:
        """Fill a circle."""
        x, y = centre
        self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=celsius)

    def shade(self, points: Sequence[Point], top_c: float, bottom_c: float) -> None:
        """Fill an outline that grows from `top_c` at its top to `bottom_c` at its foot."""
        x_min, y_min, x_max, y_max = bounds(points)
        left, top = int(x_min), int(y_min)
        width, height = max(1, round(x_max) - left + 1), max(1, round(y_max) - top + 1)
        stencil = Image.new("1", (width, height))
        ImageDraw.Draw(stencil).polygon([(x - left, y - top) for x, y in points], fill=1)
        self._image.paste(_ramp(width, height, top_c, bottom_c), (left, top), stencil)

    def warm(self, centre: Point, radius_x: float, radius_y: float, rise_c: float) -> None:
        """Add a hot spot with a flat top that has faded to 6 % at 1.3 radii."""
        x, y = centre
        left, top = int(x - 2 * radius_x), int(y - 2 * radius_y)
        right, bottom = int(x + 2 * radius_x) + 2, int(y + 2 * radius_y) + 2
        rows, columns = np.ogrid[top:bottom, left:right]
        distance = ((columns - x) / radius_x) ** 2 + ((rows - y) / radius_y) ** 2
        heat = rise_c * np.exp(-(distance**2))
        under = np.asarray(self._image.crop((left, top, right, bottom)))
        self._image.paste(Image.fromarray((under + heat).astype(np.float32)), (left, top))

    def photograph(
        self, rng: np.random.Generator, sensor_scale: float, noise_c: float
    ) -> NDArray[np.float32]:
        """What a sensor of fewer pixels makes of it: soft edges, drifting offsets and noise.

        Args:
            rng: Source of the noise.
            sensor_scale: Sensor pixels per picture pixel, at most 1.
            noise_c: Standard deviation of the noise of one sensor pixel, degrees Celsius.

        Returns:
            Temperatures in degrees Celsius, shape `(height, width)`.
        """
        size = (round(self.width * sensor_scale), round(self.height * sensor_scale))
        sensed = np.asarray(self._image.resize(size, Image.Resampling.BOX))
        noise = rng.normal(0, noise_c, sensed.shape) + rng.normal(0, 0.4 * noise_c, (1, size[0]))
        for cells in (5, 20):
            drift = Image.fromarray(rng.normal(0, 2 * noise_c, (cells, cells)).astype(np.float32))
            noise += np.asarray(drift.resize(size, Image.Resampling.BICUBIC))
        shown = Image.fromarray((sensed + noise).astype(np.float32))
        return np.asarray(shown.resize((self.width, self.height), Image.Resampling.BICUBIC))


def _ramp(width: int, height: int, top_c: float, bottom_c: float) -> Image.Image:
    column = np.linspace(top_c, bottom_c, height, dtype=np.float32)[:, None]
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(column, (height, width))))
