"""Camera palettes: from degrees Celsius to colour."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PaletteName = Literal["iron", "rainbow", "arctic"]
_SHADES = 256

# Colours from cold to hot, read off by eye from pictures of common thermal cameras.
_COLOURS: dict[PaletteName, Sequence[tuple[int, int, int]]] = {
    "iron": [
        (0, 0, 10), (30, 0, 110), (105, 0, 155), (175, 10, 145), (220, 60, 70),
        (243, 115, 10), (252, 170, 0), (255, 215, 50), (255, 255, 215),
    ],
    "rainbow": [
        (8, 6, 60), (6, 30, 140), (0, 85, 205), (0, 145, 215), (25, 185, 120), (135, 205, 15),
        (240, 230, 0), (255, 165, 0), (250, 75, 15), (235, 15, 60), (255, 120, 150), (255, 240, 240),
    ],
    "arctic": [
        (0, 0, 0), (0, 0, 70), (0, 8, 150), (0, 45, 235), (0, 130, 255), (45, 220, 245),
        (110, 250, 185), (220, 250, 60), (255, 190, 0), (250, 90, 0), (150, 10, 0),
    ],
}  # fmt: skip


def shades(name: PaletteName) -> NDArray[np.uint8]:
    """The palette as a table of 256 colours, cold first, shape `(256, 3)`."""
    colours = np.asarray(_COLOURS[name], dtype=np.float64)
    stops = np.linspace(0, _SHADES - 1, len(colours))
    channels = [np.interp(np.arange(_SHADES), stops, channel) for channel in colours.T]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def colourise(
    field_c: NDArray[np.float32], name: PaletteName, low_c: float, high_c: float
) -> NDArray[np.uint8]:
    """Colour a temperature field; what lies outside the span takes the end colours.

    Args:
        field_c: Temperatures in degrees Celsius, shape `(H, W)`.
        name: The palette.
        low_c: Temperature of the coldest colour.
        high_c: Temperature of the hottest colour.

    Returns:
        RGB picture, shape `(H, W, 3)`.
    """
    position = (field_c - low_c) / (high_c - low_c) * (_SHADES - 1)
    picture: NDArray[np.uint8] = shades(name)[position.clip(0, _SHADES - 1).astype(np.uint8)]
    return picture
