"""The demo base set: synthetic scenes in YOLO layout, split by transformer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from core.demo.faults import CLASS_NAMES, FULL_WIRE, LOOSE_JOINT, MILD_JOINT, POINT_OVERLOAD
from core.demo.scenes import Scene, draw_scene, make_transformer
from core.demo.whole import whole_folder

OnShare = Callable[[float], None]
SEED = 1337
IMAGES_PER_TRANSFORMER = 6
JPEG_QUALITY = 90

# Seven plans against six pictures a transformer and three views: every plan meets every view.
FAULT_PLANS = (
    (),
    (LOOSE_JOINT,),
    (FULL_WIRE,),
    (POINT_OVERLOAD,),
    (MILD_JOINT,),
    (FULL_WIRE, LOOSE_JOINT),
    (MILD_JOINT, POINT_OVERLOAD),
)


def write_base_set(
    root: Path,
    *,
    train: int = 288,
    valid: int = 54,
    test: int = 54,
    seed: int = SEED,
    on_share: OnShare = lambda _: None,
) -> None:
    """Write the base set, whole or not at all; one that is there stays as it is.

    Args:
        root: Folder that will hold `data.yaml` and `train|valid|test/{images,labels}`.
        train: Images to learn from.
        valid: Images to tune on.
        test: Images to judge on.
        seed: Seed of every scene; the same seed gives the same set.
        on_share: Told the share that is done, 0 to 1.

    Raises:
        FileExistsError: If `root` holds something else.
    """
    if (root / "data.yaml").exists():
        return
    sizes = {"train": train, "valid": valid, "test": test}
    with whole_folder(root) as partial:
        _write_splits(partial, sizes, seed, on_share)
        (partial / "data.yaml").write_text(_data_yaml(), encoding="utf-8")


def _data_yaml() -> str:
    splits = {"train": "train/images", "val": "valid/images", "test": "test/images"}
    content = {**splits, "nc": len(CLASS_NAMES), "names": list(CLASS_NAMES)}
    return str(yaml.safe_dump(content, sort_keys=False))


def _write_splits(root: Path, sizes: dict[str, int], seed: int, on_share: OnShare) -> None:
    transformer, done, total = 1, 0, sum(sizes.values())
    for split, size in sizes.items():
        for folder in ("images", "labels"):
            (root / split / folder).mkdir(parents=True)
        for index in range(size):
            number = transformer + index // IMAGES_PER_TRANSFORMER
            stem, scene = nth_scene(number, index, seed)
            write_jpeg(root / split / "images" / f"{stem}.jpg", scene.image)
            (root / split / "labels" / f"{stem}.txt").write_text(yolo_label(scene), encoding="utf-8")
            done += 1
            on_share(done / total)
        transformer += -(-size // IMAGES_PER_TRANSFORMER)


def nth_scene(number: int, index: int, seed: int) -> tuple[str, Scene]:
    """The stem and scene of the `index`-th picture of a split, of transformer `number`."""
    faults = FAULT_PLANS[index % len(FAULT_PLANS)]
    scene = draw_scene(make_transformer(seed, number), faults, (seed, number, index))
    return stem_of(number, faults, index), scene


def stem_of(number: int, faults: tuple[int, ...], index: int) -> str:
    """File stem that names the transformer first, such as `T07_normal_003`."""
    return f"T{number:02}_{'faulty' if faults else 'normal'}_{index % IMAGES_PER_TRANSFORMER + 1:03}"


def yolo_label(scene: Scene) -> str:
    """The boxes as YOLO label lines: class id, then centre and size as shares of the picture."""
    height, width = scene.image.shape[:2]
    lines = []
    for box in scene.boxes:
        x_min, y_min, x_max, y_max = box.xyxy
        centre = (x_min + x_max) / 2 / width, (y_min + y_max) / 2 / height
        size = (x_max - x_min) / width, (y_max - y_min) / height
        lines.append(f"{box.class_id} " + " ".join(f"{share:.6f}" for share in (*centre, *size)) + "\n")
    return "".join(lines)


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB picture as a camera would."""
    Image.fromarray(image).save(path, quality=JPEG_QUALITY)
