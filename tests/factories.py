"""What tests of every room need: settings on a temporary folder, image files, requests, a base set."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from core.config import Settings
from core.schemas import FineTuneRequest
from core.store import Store, runs

CLASS_NAMES = ("hot joint", "cold joint", "overload")
Xyxy = tuple[float, float, float, float]


def require(is_there: object, what: str) -> None:
    """Skip a test whose part is missing, loudly; where CI=true a missing part is a failure."""
    if is_there:
        return
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{what} is missing, and nothing is skipped in CI")
    pytest.skip(f"{what} is missing")


def make_settings(home: Path, **changes: Any) -> Settings:
    """Settings on a folder, without the demo and without a worker that starts by itself."""
    given: dict[str, Any] = {
        "home": home,
        "pretrained_weights": home / "baseline.pt",
        "annotated_dataset_root": home / "base_set",
        "worker_autostart": False,
    }
    return Settings(_env_file=None, **(given | changes))


def thermal_pixels(seed: int, width_px: int = 64, height_px: int = 48) -> np.ndarray:
    """A warm spot on a cool gradient with sensor noise, shape `(height, width, 3)`, uint8; one per seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height_px, 0:width_px]
    center_x, center_y = random.uniform(0.2, 0.8, 2) * (width_px, height_px)
    spot = 150 * np.exp(-((x - center_x) ** 2 + (y - center_y) ** 2) / (0.02 * width_px * height_px))
    warmth = 40 + 40 * y / height_px + spot + random.normal(0, 3, spot.shape)
    return np.clip(np.stack([warmth, warmth * 0.6, 120 - warmth / 2], axis=-1), 0, 255).astype(np.uint8)


def encode(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def thermal_file(
    seed: int = 0, width_px: int = 64, height_px: int = 48, file_format: str = "PNG", **options: Any
) -> bytes:
    """A small thermal-looking image file; another content for each seed."""
    return encode(Image.fromarray(thermal_pixels(seed, width_px, height_px)), file_format, **options)


def detection(xyxy: Sequence[float] = (10, 10, 30, 30), class_id: int | str = 0) -> dict[str, Any]:
    """A posted detection; a class given as text is sent by its name."""
    box = dict(zip(("x_min", "y_min", "x_max", "y_max"), xyxy, strict=True))
    return {"box": box, "class_name" if isinstance(class_id, str) else "class_id": class_id}


def image(url: str, *detections: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A posted image with the given detections, or with one when none is given."""
    return {"image_url": url, "detections": list(detections) or [detection()], **more}


def request(*images: dict[str, Any], **more: Any) -> FineTuneRequest:
    """A fine-tune request over posted images."""
    return FineTuneRequest.model_validate({"images": list(images), **more})


def write_base_set(
    root: Path,
    class_names: Sequence[str] = CLASS_NAMES,
    *,
    images: Mapping[str, int] | None = None,
    size_px: int = 64,
) -> Path:
    """Write a base set in YOLO layout, one box an image, classes in turn.

    Args:
        root: Folder to make.
        class_names: Ids are positions.
        images: Images per split, folder name to count.
        size_px: Side of each square image.
    """
    counts = images or {"train": 6, "valid": 4, "test": 4}
    for offset, (split, count) in enumerate(counts.items()):
        for number in range(count):
            _write_labelled(root / split, 1000 * offset + number, number % len(class_names), size_px)
    # The detector's own data.yaml points one folder up, as Roboflow writes it.
    splits = {"val" if split == "valid" else split: f"../{split}/images" for split in counts}
    config = {**splits, "nc": len(class_names), "names": list(class_names)}
    (root / "data.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return root


def _write_labelled(folder: Path, seed: int, class_id: int, size_px: int) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    stem = f"T{seed % 5}_{seed:05d}"
    (folder / "images" / f"{stem}.jpg").write_bytes(thermal_file(seed, size_px, size_px, "JPEG", quality=95))
    (folder / "labels" / f"{stem}.txt").write_text(f"{class_id} 0.5 0.5 0.4 0.4\n", encoding="utf-8")


def save_epoch(store: Store, run_id: str, payload: Mapping[str, Any], sha256: str = "e" * 64) -> str | None:
    """Keep the state after an epoch and tell of the epoch, as a run's courier does."""
    with store.database.write() as session:
        run = runs.locked(session, run_id)
        runs.append_event(session, run, "epoch", dict(payload))
        return runs.keep_state(session, run, sha256, payload["epoch"])
