"""Images with boxes, as part of the page itself."""

import base64
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from core.dataset.images import LabelledImage
from core.errors import TmsError
from core.registry.report.markup import Html, element
from core.store import Store

_SIDE_PX = 420
_JPEG_QUALITY = 80


@dataclass(frozen=True)
class DrawnBox:
    """A box to draw: corners in pixels of the upright image, what is written at it, and how it looks."""

    xyxy: Sequence[float]
    text: str
    look: str


def labels_of(image: LabelledImage, class_names: Sequence[str]) -> list[DrawnBox]:
    """The boxes that an image is labelled with."""
    boxes = []
    for label in image.labels:
        center_x, center_y = label.center_x * image.width_px, label.center_y * image.height_px
        half_width, half_height = label.width * image.width_px / 2, label.height * image.height_px / 2
        xyxy = (center_x - half_width, center_y - half_height, center_x + half_width, center_y + half_height)
        boxes.append(DrawnBox(xyxy, class_names[label.class_id], "label"))
    return boxes


def picture(store: Store, image: LabelledImage, boxes: Sequence[DrawnBox], caption: str) -> Html:
    """An image with boxes over it, or a word on why it cannot be shown.

    Args:
        store: Has feedback images; those of the base set are read where they lie.
        image: The image.
        boxes: What to draw over it.
        caption: What is written below.
    """
    try:
        content = _small_jpeg(_file_of(store, image))
    except (TmsError, OSError, ValueError):
        return element("figure", element("p", "This image is not on this host any more.", class_="empty"))
    drawing = element(
        "svg",
        element(
            "image", href=f"data:image/jpeg;base64,{content}", width=image.width_px, height=image.height_px
        ),
        *(_box(box, max(image.width_px, image.height_px)) for box in boxes),
        viewBox=f"0 0 {image.width_px} {image.height_px}",
        role="img",
        aria_label=caption,
    )
    return element("figure", drawing, element("figcaption", caption), class_="picture")


def _file_of(store: Store, image: LabelledImage) -> Path:
    return image.path if image.path.is_file() else store.blobs.local_path(image.sha256)


def _small_jpeg(path: Path) -> str:
    with warnings.catch_warnings(), Image.open(path) as opened:
        # What lies here was taken in or is the operator's own.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        small = ImageOps.exif_transpose(opened).convert("RGB")
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_JPEG_QUALITY)
    return base64.b64encode(file.getvalue()).decode()


def _box(box: DrawnBox, side_px: int) -> Html:
    x_min, y_min, x_max, y_max = (round(edge, 1) for edge in box.xyxy)
    size_px = side_px / 28
    return element(
        "g",
        element("rect", x=x_min, y=y_min, width=round(x_max - x_min, 1), height=round(y_max - y_min, 1)),
        element("text", box.text, x=x_min, y=max(y_min - size_px / 4, size_px), font_size=round(size_px, 1)),
        class_=f"box {box.look}",
    )
