"""The same labelled images, packed as each annotation tool would pack them.

Written from the formats' own documentation and not with the product's code, so that the one tests the other.
"""

import io
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from tests.unit.feedback.imports.archives import zipped


class YoloBox(NamedTuple):
    """A label line: shares of the image."""

    class_id: int
    x: float
    y: float
    width: float
    height: float


class Labelled(NamedTuple):
    """An image with its labels."""

    name: str
    content: bytes
    width_px: int
    height_px: int
    boxes: Sequence[YoloBox]


Pack = Callable[[Sequence[Labelled], Sequence[str]], io.BytesIO]


def yolo(images: Sequence[Labelled], names: Sequence[str]) -> io.BytesIO:
    """As Roboflow packs it."""
    files: dict[str, bytes | str] = {
        "data.yaml": f"train: ../train/images\nnames: {json.dumps(list(names))}\n"
    }
    for image in images:
        files[f"train/images/{image.name}"] = image.content
        lines = [f"{box.class_id} {box.x} {box.y} {box.width} {box.height}" for box in image.boxes]
        files[f"train/labels/{image.name.rpartition('.')[0]}.txt"] = "\n".join(lines)
    return zipped(files)


def coco(images: Sequence[Labelled], names: Sequence[str]) -> io.BytesIO:
    """As CVAT packs it; annotations in another order than that of the images."""
    rows = [
        {
            "id": 1000 + number,
            "file_name": image.name,
            "width": image.width_px,
            "height": image.height_px,
        }
        for number, image in enumerate(images)
    ]
    annotations = [
        {
            "id": number,
            "image_id": row["id"],
            "category_id": 10 * box.class_id + 5,
            "bbox": [
                (box.x - box.width / 2) * image.width_px,
                (box.y - box.height / 2) * image.height_px,
                box.width * image.width_px,
                box.height * image.height_px,
            ],
            "iscrowd": 0,
        }
        for row, image in zip(rows, images, strict=True)
        for number, box in enumerate(image.boxes)
    ]
    document = {
        "images": rows,
        "annotations": annotations[::-1],
        "categories": [{"id": 10 * class_id + 5, "name": name} for class_id, name in enumerate(names)],
    }
    files: dict[str, bytes | str] = {"annotations/instances_default.json": json.dumps(document)}
    return zipped(files | {f"images/{image.name}": image.content for image in images})


def label_studio(images: Sequence[Labelled], names: Sequence[str]) -> io.BytesIO:
    """As Label Studio exports JSON, with the images that were uploaded to it."""

    def region(number: int, image: Labelled, box: YoloBox) -> dict[str, object]:
        return {
            "id": f"r{number}",
            "type": "rectanglelabels",
            "original_width": image.width_px,
            "original_height": image.height_px,
            "image_rotation": 0,
            "value": {
                "x": (box.x - box.width / 2) * 100,
                "y": (box.y - box.height / 2) * 100,
                "width": box.width * 100,
                "height": box.height * 100,
                "rotation": 0,
                "rectanglelabels": [names[box.class_id]],
            },
        }

    tasks = [
        {
            "id": number,
            "data": {"image": f"/data/upload/3/0f3b2c{number:02x}-{image.name}"},
            "annotations": [
                {
                    "was_cancelled": False,
                    "result": [region(row, image, box) for row, box in enumerate(image.boxes)],
                }
            ],
        }
        for number, image in enumerate(images)
    ]
    files: dict[str, bytes | str] = {"project-3.json": json.dumps(tasks[::-1])}
    return zipped(files | {f"images/{image.name}": image.content for image in images})


def cvat(images: Sequence[Labelled], names: Sequence[str]) -> io.BytesIO:
    """As CVAT for images 1.1, but with every digit: CVAT itself rounds to a hundredth of a pixel."""

    def shape(image: Labelled, box: YoloBox) -> str:
        left, top = (box.x - box.width / 2) * image.width_px, (box.y - box.height / 2) * image.height_px
        right, bottom = (box.x + box.width / 2) * image.width_px, (box.y + box.height / 2) * image.height_px
        corners = f'xtl="{left!r}" ytl="{top!r}" xbr="{right!r}" ybr="{bottom!r}"'
        return f'<box label={quoteattr(names[box.class_id])} source="manual" occluded="0" {corners}></box>'

    shown = "".join(
        f'<image id="{number}" name={quoteattr(image.name)} width="{image.width_px}" '
        f'height="{image.height_px}">{"".join(shape(image, box) for box in image.boxes)}</image>'
        for number, image in enumerate(images)
    )
    files: dict[str, bytes | str] = {
        "annotations.xml": f"<annotations><version>1.1</version>{shown}</annotations>"
    }
    return zipped(files | {f"images/{image.name}": image.content for image in images})


PACKS: dict[str, Pack] = {"yolo": yolo, "coco": coco, "label_studio": label_studio, "cvat": cvat}
