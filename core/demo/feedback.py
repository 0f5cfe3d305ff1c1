"""The demo feedback: what a new camera saw, and the payload that teaches it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.demo.base_set import FAULT_PLANS, SEED, stem_of, write_jpeg
from core.demo.faults import DrawnBox
from core.demo.palette import PaletteName
from core.demo.scenes import Scene, draw_scene, make_transformer
from core.demo.whole import whole_folder

BASE_URL = "http://127.0.0.1:8002/demo/feedback"
IMAGE_COUNT = 12
_IMAGES_PER_TRANSFORMER = 2
# Far from the numbers of any base set.
_FIRST_TRANSFORMER = 901
# The base set has no picture in this palette: a camera of another make has arrived.
_PALETTE: PaletteName = "iron"

# Half a minute on two cores. At a quarter of the rate that taught it, a baseline this young learns the new
# palette and keeps what it knew; at half of it, or with AdamW at 0.001, it forgot.
_HYPERPARAMETERS = {
    "train_replay": 96,
    "epochs": 6,
    "batch_size": 4,
    "image_size": 256,
    "optimizer": "SGD",
    "learning_rate": 0.01,
    "freeze": 0,
}


def write_feedback(root: Path) -> None:
    """Write the feedback images as `<name>.jpg`, all or none; a folder that is there stays as it is.

    Raises:
        FileExistsError: If `root` holds something else.
    """
    if any(root.glob("*.jpg")):
        return
    with whole_folder(root) as partial:
        for stem, _, scene in _scenes():
            write_jpeg(partial / f"{stem}.jpg", scene.image)


def build_payload(base_url: str = BASE_URL) -> dict[str, Any]:
    """Body of `POST /api/finetune` for the feedback images; `examples/finetune.json` is this.

    Args:
        base_url: Address under which the feedback folder is served.
    """
    images = [
        {
            "image_url": f"{base_url}/{stem}.jpg",
            "sample_id": stem,
            "group": f"T{number}",
            "detections": [_detection(box) for box in scene.boxes],
        }
        for stem, number, scene in _scenes()
    ]
    return {"images": images, **_HYPERPARAMETERS}


def _scenes() -> Iterator[tuple[str, int, Scene]]:
    for index in range(IMAGE_COUNT):
        number = _FIRST_TRANSFORMER + index // _IMAGES_PER_TRANSFORMER
        faults = FAULT_PLANS[index % len(FAULT_PLANS)]
        transformer = make_transformer(SEED, number, palettes=(_PALETTE,))
        scene = draw_scene(transformer, faults, (SEED, number, index))
        yield stem_of(number, faults, index % _IMAGES_PER_TRANSFORMER), number, scene


def _detection(box: DrawnBox) -> dict[str, Any]:
    names = ("x_min", "y_min", "x_max", "y_max")
    return {"box": dict(zip(names, box.xyxy, strict=True)), "class_id": box.class_id}
