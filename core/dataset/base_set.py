"""The base set: what the detector was first taught with, in YOLO layout with a data.yaml."""

import re
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from core.config import GROUP_PATTERN
from core.dataset.class_map import ids_in
from core.dataset.images import ImageSet, Label, LabelledImage
from core.errors import BaseSetInvalid, BaseSetMissing
from core.store.blobs import file_sha256

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_EXIF_ORIENTATION = 0x0112
_TURNED_BY_90_DEGREES = {5, 6, 7, 8}
# Some 300 bytes each; a process reads the same base set again and again.
_IMAGES_REMEMBERED = 100_000
_HASHING_THREADS = 8
_FAULTS_SHOWN = 5


@dataclass(frozen=True)
class BaseSet:
    """A base set as read from disk.

    Attributes:
        class_names: In the order of its data.yaml, or of the live model after `in_order_of`.
        train: The replay pool's base part.
        tune: For choosing an epoch or a blend.
        test: For judging alone.
        notes: What a person should know about how the splits were made.
    """

    class_names: tuple[str, ...]
    train: ImageSet
    tune: ImageSet
    test: ImageSet
    notes: tuple[str, ...] = ()

    def in_order_of(self, class_names: Sequence[str]) -> "BaseSet":
        """The same set with the class ids of the live model.

        Raises:
            ClassMapMismatch: If it does not name the same classes.
        """
        new_ids = ids_in(class_names, self.class_names)
        train, tune, test = (_with_ids(split, new_ids) for split in (self.train, self.tune, self.test))
        return replace(self, class_names=tuple(class_names), train=train, tune=tune, test=test)

    def judging_files(self) -> dict[str, Path]:
        """Files of the images that may never be learned from, by sha256."""
        return {image.sha256: image.path for split in (self.tune, self.test) for image in split.images}


def read_base_set(root: Path, group_pattern: str = GROUP_PATTERN) -> BaseSet:
    """Read a YOLO base set: `data.yaml` with `names`, `train`, `val` (or `valid`) and, at best, `test`.

    A split may be a folder, a list file, or a list of either. Without `test`, the half of `valid` whose
    content digest is odd stands in for it.

    Args:
        root: Its folder.
        group_pattern: Regular expression for file names: images in which its groups find the same text are of
            one transformer, so not independent of each other.

    Raises:
        BaseSetMissing: If the folder, its data.yaml or its images are not there.
        BaseSetInvalid: If data.yaml or a label cannot be understood; the first faults are named.
    """
    config = _read_config(root)
    names = _class_names(config, root)
    reading = partial(
        _read_image, class_count=len(names), group_of=partial(_group, re.compile(group_pattern))
    )
    read = partial(_read_split, config, _split_root(config, root), reading)
    train, valid, test = read("train", "train"), read("tune", "val", "valid"), read("test", "test")
    if not train.images or not valid.images:
        raise BaseSetMissing(
            f"{root} holds no images under train and valid. Both are needed; see its data.yaml."
        )
    if test.images:
        return BaseSet(names, train, valid, test)
    return BaseSet(
        names, train, *_halves(valid), notes=("The base set has no test split: half of valid judges.",)
    )


def _read_config(root: Path) -> dict[str, Any]:
    path = root / "data.yaml"
    if not path.is_file():
        raise BaseSetMissing(
            f"There is no base set at {root}: {path.name} is missing. "
            "Set TMS_ANNOTATED_DATASET_ROOT to a folder in YOLO layout."
        )
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BaseSetInvalid(f"{path} is not valid YAML: {error}") from error
    if not isinstance(config, dict):
        raise BaseSetInvalid(f"{path} must be a mapping with names, train and val.")
    return config


def _split_root(config: dict[str, Any], root: Path) -> Path:
    named = root / str(config.get("path") or "")
    return named if named.is_dir() else root


def _class_names(config: dict[str, Any], root: Path) -> tuple[str, ...]:
    names = config.get("names")
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[class_id] for class_id in range(len(names))]
    if not isinstance(names, list) or not names:
        raise BaseSetInvalid(f"{root / 'data.yaml'} must list the class names under `names`, ids from 0.")
    return tuple(str(name) for name in names)


def _read_split(
    config: dict[str, Any], root: Path, read_image: Callable[..., LabelledImage | None], name: str, *keys: str
) -> ImageSet:
    given: Any = next((config[key] for key in keys if config.get(key)), [])
    sources = given if isinstance(given, list) else [given]
    paths = sorted({path for source in sources for path in _image_paths(root, str(source))})
    faults: list[str] = []
    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        images = list(pool.map(partial(read_image, faults=faults), paths))
    if faults:
        shown = "; ".join(sorted(faults)[:_FAULTS_SHOWN])
        raise BaseSetInvalid(
            f"{len(faults)} files of the base set cannot be used: {shown}. Mend or remove them."
        )
    return ImageSet(name=name, images=tuple(image for image in images if image))


def _image_paths(root: Path, source: str) -> list[Path]:
    place = root / source
    # Roboflow writes ../train/images and means the folder beside data.yaml.
    if not place.exists():
        place = root / source.removeprefix("../")
    if place.is_file():
        lines = place.read_text(encoding="utf-8-sig").split("\n")
        return [place.parent / line.strip() for line in lines if line.strip()]
    return [path for path in place.rglob("*") if path.suffix.lower() in _SUFFIXES]


def _group(pattern: re.Pattern[str], path: Path) -> str | None:
    found = pattern.search(path.name)
    return next((part for part in found.groups() if part), None) if found else None


def _read_image(
    path: Path, class_count: int, group_of: Callable[[Path], str | None], faults: list[str]
) -> LabelledImage | None:
    try:
        state = path.stat()
        sha256, width_px, height_px = _content(path, state.st_size, state.st_mtime_ns)
        labels = _read_labels(_label_path(path), class_count)
    except (OSError, ValueError) as error:
        faults.append(f"{path.name}: {error}")
        return None
    return LabelledImage(
        path=path,
        sha256=sha256,
        width_px=width_px,
        height_px=height_px,
        labels=labels,
        group=group_of(path),
    )


@lru_cache(maxsize=_IMAGES_REMEMBERED)
def _content(path: Path, size_bytes: int, modified_ns: int) -> tuple[str, int, int]:
    """sha256 of a file's bytes, and its upright width and height; read once as long as nobody writes it."""
    return file_sha256(path), *_upright_size(path)


def _upright_size(path: Path) -> tuple[int, int]:
    with warnings.catch_warnings(), Image.open(path) as image:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        turned = image.getexif().get(_EXIF_ORIENTATION) in _TURNED_BY_90_DEGREES
        return (image.height, image.width) if turned else image.size


def _label_path(image_path: Path) -> Path:
    """Where YOLO looks: the last `images` folder of the path becomes `labels`."""
    parts = list(image_path.parts)
    positions = [index for index, part in enumerate(parts) if part == "images"]
    if positions:
        parts[positions[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _read_labels(path: Path, class_count: int) -> tuple[Label, ...]:
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    labels = [_parse_label(line.split(), class_count) for line in lines if line.strip()]
    # The same box twice counts once, as Ultralytics does.
    return tuple(dict.fromkeys(labels))


def _parse_label(fields: list[str], class_count: int) -> Label:
    class_id, shares = int(float(fields[0])), [float(field) for field in fields[1:]]
    if not 0 <= class_id < class_count:
        raise ValueError(f"class {class_id} is outside 0 to {class_count - 1}")
    if len(shares) > 4 and len(shares) % 2 == 0:
        shares = _polygon_bounds(shares)
    if len(shares) != 4 or not all(-0.01 <= share <= 1.01 for share in shares) or min(shares[2:]) <= 0:
        raise ValueError(f"'{' '.join(fields[:6])}' is no YOLO box")
    return Label(class_id=class_id, center_x=shares[0], center_y=shares[1], width=shares[2], height=shares[3])


def _polygon_bounds(points: list[float]) -> list[float]:
    xs, ys = points[0::2], points[1::2]
    return [(min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)]


def _halves(valid: ImageSet) -> tuple[ImageSet, ImageSet]:
    odd = tuple(image for image in valid.images if int(image.sha256, 16) % 2)
    even = tuple(image for image in valid.images if not int(image.sha256, 16) % 2)
    if not odd or not even:
        raise BaseSetMissing(
            "The base set has no test split, and valid is too small to be halved. Add a test split."
        )
    return ImageSet(name="tune", images=even), ImageSet(name="test", images=odd)


def _with_ids(split: ImageSet, new_ids: list[int]) -> ImageSet:
    def renumbered(image: LabelledImage) -> LabelledImage:
        labels = tuple(
            label.model_copy(update={"class_id": new_ids[label.class_id]}) for label in image.labels
        )
        return image.model_copy(update={"labels": labels})

    return ImageSet(name=split.name, images=tuple(renumbered(image) for image in split.images))
