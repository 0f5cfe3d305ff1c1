"""A dataset revision as plain YOLO files, so that anyone can repeat the run with `yolo train`."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml
from PIL import Image

from core.dataset.images import LabelledImage
from core.dataset.revision import DatasetRevision

DATA_YAML = "data.yaml"


def write_yolo(revision: DatasetRevision, folder: Path) -> Path:
    """Write `data.yaml`, the split lists, and copies of the feedback with their labels.

    Feedback lies in the image store without a suffix and its boxes may be corrected later, so it is
    copied; base images are listed where they are.

    Returns:
        The path of `data.yaml`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copied = [_copy(image, folder / "feedback") for image in revision.feedback]
    replayed = sorted({position for chosen in revision.replay_plan for position in chosen})
    _write_list(folder / "train.txt", [*copied, *(revision.replay_pool[p].path for p in replayed)])
    _write_list(folder / "valid.txt", (image.path for image in revision.tune.images))
    _write_list(folder / "test.txt", (image.path for image in revision.test.images))
    config = {
        "path": str(folder),
        "train": "train.txt",
        "val": "valid.txt",
        "test": "test.txt",
        "names": dict(enumerate(revision.class_names)),
    }
    (folder / DATA_YAML).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return folder / DATA_YAML


def _copy(image: LabelledImage, folder: Path) -> Path:
    with Image.open(image.path) as opened:
        suffix = ".jpg" if opened.format == "JPEG" else ".png"
    target = folder / "images" / f"{image.sha256[:16]}{suffix}"
    label = folder / "labels" / f"{image.sha256[:16]}.txt"
    for path in (target, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image.path, target)
    label.write_text(label_text(image), encoding="utf-8")
    return target


def label_text(image: LabelledImage) -> str:
    """The label file of an image: a line a box, class id, then centre and size as shares."""
    return "\n".join(" ".join(map(str, (box.class_id, *box.xywh))) for box in image.labels)


def _write_list(path: Path, images: Iterable[Path]) -> None:
    path.write_text("".join(f"{image}\n" for image in images), encoding="utf-8")
