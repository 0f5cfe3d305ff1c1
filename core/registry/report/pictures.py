"""Images with boxes, as part of the page itself."""

import base64
from collections.abc import Sequence

from core.dataset.images import LabelledImage
from core.dataset.pictures import small_jpeg
from core.errors import TmsError
from core.registry.changed_images import DrawnBox
from core.registry.report.markup import Html, element
from core.store import Store

_SIDE_PX = 420


def picture(store: Store, image: LabelledImage, boxes: Sequence[DrawnBox], caption: str) -> Html:
    """An image with boxes over it, or a word on why it cannot be shown.

    Args:
        store: Has feedback images; those of the base set are read where they lie.
        image: The image.
        boxes: What to draw over it.
        caption: What is written below.
    """
    try:
        content = base64.b64encode(small_jpeg(store, image, _SIDE_PX)).decode()
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


def _box(box: DrawnBox, side_px: int) -> Html:
    x_min, y_min, x_max, y_max = (round(edge, 1) for edge in box.xyxy)
    size_px = side_px / 28
    return element(
        "g",
        element("rect", x=x_min, y=y_min, width=round(x_max - x_min, 1), height=round(y_max - y_min, 1)),
        element("text", box.text, x=x_min, y=max(y_min - size_px / 4, size_px), font_size=round(size_px, 1)),
        class_=f"box {box.look}",
    )
