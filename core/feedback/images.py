"""Turns the bytes of a stranger's image into an upright 8-bit one that every reader sees alike."""

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.Image import Transpose

from core.config import Settings
from core.feedback.reasons import Refusal

# Ultralytics refuses smaller ones (ultralytics.data.utils.check_image).
MIN_SIDE_PX = 10
# No thermal camera comes near it; a strip of one line would pass the cap on pixels.
MAX_SIDE_PX = 16_384
# The few dead or glaring pixels beyond these must not squeeze all others into a few grey levels.
_WINDOW_PERCENTILES = (0.1, 99.9)
# Of a window, in counts or degrees: an even image has none.
_LEAST_SPAN = 1e-3
_WINDOW_SAMPLE_PIXELS = 1_000_000
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_STARTS = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"RIFF": "WebP",
}
_OTHER_STARTS = {b"GIF8": "a GIF", b"%PDF": "a PDF", b"\0\0\0\x0cjP": "JPEG 2000", b"<svg": "an SVG"}
_JPEG_END = b"\xff\xd9"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_BIT_DEPTH_AT = 24
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_ON_THEIR_SIDE = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class UprightImage:
    """An image file, JPEG or PNG, 8 bit, that needs no turning.

    Attributes:
        content: The file.
        width_px: Its width.
        height_px: Its height.
        picture: The same, decoded.
        window: How values of more than 8 bits became 8-bit ones: `method`, and the values `low` and `high`
            that became black and white, in counts, or in degrees Celsius if the method is `celsius`.
    """

    content: bytes
    width_px: int
    height_px: int
    picture: Image.Image = field(compare=False, repr=False)
    window: dict[str, Any] | None = None


@dataclass(frozen=True)
class CelsiusWindow:
    """The temperatures that become black and white, and what a count of a 16-bit image means."""

    low_c: float
    high_c: float
    counts_scale: float
    counts_offset_c: float

    @classmethod
    def of(cls, settings: Settings) -> "CelsiusWindow | None":
        """The configured one, or None if images are windowed by percentile."""
        if settings.window_low_c is None or settings.window_high_c is None:
            return None
        return cls(
            settings.window_low_c, settings.window_high_c, settings.counts_scale, settings.counts_offset_c
        )


def normalise(content: bytes, max_pixels: int, window: CelsiusWindow | None = None) -> UprightImage:
    """Decode an image whole, turn it upright, and bring it to 8 bits.

    An upright 8-bit grey or RGB JPEG or PNG is kept byte for byte: a JPEG coded anew would lose detail or
    grow several times, and its digest would no longer be the file's own. Everything else becomes an RGB PNG.

    Args:
        content: The file.
        max_pixels: Refuse more, before anything is decoded.
        window: Of images with more than 8 bits; left out, it is found by percentile.

    Raises:
        Refusal: One of the `decode_` or `image_` codes, or `fetch_not_an_image`.
    """
    if not content:
        raise Refusal("decode_empty", "The file has 0 bytes.")
    image = _opened(content, max_pixels)
    _check_size(image, max_pixels)
    try:
        image.load()
        turn = _TURNS.get(_orientation(image))
        if turn is None and _is_plain(image, content):
            return UprightImage(content, image.width, image.height, image)
        image, used = _eight_bit(image.transpose(turn) if turn is not None else image, window)
        return _encoded(_rgb(image), used)
    except Refusal:
        raise
    except Exception as error:  # Decoders answer hostile files with every kind of exception.
        raise _damaged(content, error) from error


def upright_size(content: bytes, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels of the upright image, by the header of the file alone.

    Raises:
        Refusal: One of the `decode_` codes, `image_too_large` or `fetch_not_an_image`.
    """
    if not content:
        raise Refusal("decode_empty", "The file has 0 bytes.")
    image = _opened(content, max_pixels)
    is_on_its_side = _orientation(image) in _ON_THEIR_SIDE
    return (image.height, image.width) if is_on_its_side else image.size


def _opened(content: bytes, max_pixels: int) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        detail = f"The image is far above the limit of {max_pixels} pixels. {error}"
        raise Refusal("image_too_large", detail) from error
    except UnidentifiedImageError:
        raise _unidentified(content) from None
    except Exception as error:  # As above: the header is part of the hostile file.
        raise _damaged(content, error) from error


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width_px, height_px = image.size
    if width_px * height_px > max_pixels:
        detail = f"The image has {width_px} x {height_px} pixels; at most {max_pixels} in all are taken."
        raise Refusal("image_too_large", detail)
    if max(width_px, height_px) > MAX_SIDE_PX:
        detail = f"The image has {width_px} x {height_px} pixels; each side may have at most {MAX_SIDE_PX}."
        raise Refusal("image_too_large", detail)
    if min(width_px, height_px) < MIN_SIDE_PX:
        detail = f"The image has {width_px} x {height_px} pixels; each side needs at least {MIN_SIDE_PX}."
        raise Refusal("image_too_small", detail)


def _unidentified(content: bytes) -> Refusal:
    known = next((name for start, name in _STARTS.items() if content.startswith(start)), None)
    if known:
        return Refusal("decode_failed", f"The file begins like a {known} image, but its header is damaged.")
    text = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.lower().startswith((b"<!doctype html", b"<html")):
        return Refusal("fetch_not_an_image", "The address delivers an HTML page.")
    if b"<svg" in text.lower():
        text = b"<svg"
    other = next((name for start, name in _OTHER_STARTS.items() if text.startswith(start)), None)
    return Refusal("decode_unsupported", f"The file is {other or 'of a format that is not accepted'}.")


def _damaged(content: bytes, error: Exception) -> Refusal:
    if "truncated" in str(error).lower():
        return Refusal("decode_truncated", f"The image ends early: its file has only {len(content)} bytes.")
    return Refusal("decode_failed", f"The image could not be decoded: {error}.")


def _orientation(image: Image.Image) -> int:
    # Pillow would go by XMP too; OpenCV and the browsers in which boxes are drawn go by EXIF alone.
    for key in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(key, None)
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - damaged EXIF; every reader shows such an image as it is
        return 1


def _is_plain(image: Image.Image, content: bytes) -> bool:
    if image.mode not in ("L", "RGB") or "transparency" in image.info:
        return False
    if image.format == "PNG":
        is_still = not getattr(image, "is_animated", False)
        return content[_PNG_BIT_DEPTH_AT] == 8 and is_still and _is_intact_png(content)
    # Ultralytics rewrites a JPEG that ends otherwise, in place.
    return image.format in ("JPEG", "MPO") and content.endswith(_JPEG_END)


def _is_intact_png(content: bytes) -> bool:
    # Pillow shows an image whose last checksums are wrong or missing; OpenCV does not.
    try:
        Image.open(io.BytesIO(content), formats=("PNG",)).verify()
    except Exception:  # noqa: BLE001 - it answers damage with several kinds of exception
        return False
    return content.endswith(_PNG_END)


def _eight_bit(image: Image.Image, window: CelsiusWindow | None) -> tuple[Image.Image, dict[str, Any] | None]:
    """Radiometric counts or temperatures to 8 bits; the high byte alone would be nearly one grey."""
    if not (image.mode == "F" or image.mode.startswith("I")):
        return image, None
    values = np.asarray(image, dtype=np.float32)
    known = values[np.isfinite(values)]
    if not known.size:
        raise Refusal("decode_failed", "The image holds no finite value.")
    if window is not None:
        # Floating-point images hold degrees already.
        values = values if image.mode == "F" else values * window.counts_scale + window.counts_offset_c
        low, high, method = window.low_c, window.high_c, "celsius"
    else:
        step = max(1, known.size // _WINDOW_SAMPLE_PIXELS)
        percentiles = np.percentile(known[::step], _WINDOW_PERCENTILES)
        low, high, method = float(percentiles[0]), float(percentiles[1]), "percentile"
    shares = np.clip((values - low) / max(high - low, _LEAST_SPAN), 0, 1)
    grey = Image.fromarray(np.rint(np.nan_to_num(shares) * 255).astype(np.uint8))
    return grey, {"method": method, "low": low, "high": high}


def _rgb(image: Image.Image) -> Image.Image:
    # Alpha is dropped and not blended, because that is what OpenCV shows the live model.
    return image.convert("RGBA" if image.mode in ("P", "PA") else "RGB").convert("RGB")


def _encoded(image: Image.Image, window: dict[str, Any] | None) -> UprightImage:
    file = io.BytesIO()
    image.info.clear()
    image.save(file, "PNG")
    return UprightImage(file.getvalue(), image.width, image.height, image, window)
