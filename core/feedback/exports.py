"""Gives samples and their newest boxes out, as YOLO or COCO, so that they can be taken in again without loss.

Everything is made while it is read, one image at a time. The same selection makes the same bytes, as long as
nobody corrects its samples.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, cast

import sqlalchemy as sa
import yaml

from core.errors import InvalidRequest, NotFound
from core.feedback.boxes import StoredDetection
from core.feedback.imports.names import is_image
from core.feedback.zip_stream import ZipStream
from core.store import Store
from core.store.tables import Correction, Sample, SampleClass

ExportFormat = Literal["yolo", "coco"]
ZIP, JSON = "application/zip", "application/json"

_JPEG_START = b"\xff\xd8"
_NAME_BYTES = 120
# What Windows gives to devices.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)
_LOADED_AT_ONCE = 500
_IDS_SHOWN = 5


@dataclass(frozen=True)
class Selection:
    """Which samples are meant: those that are named, or else all that fit every other field.

    Attributes:
        sample_ids: Named ones, whatever their status.
        batch_id: Of one batch.
        statuses: In one of these states.
        class_id: With a box of this class in their newest version.
    """

    sample_ids: tuple[str, ...] = ()
    batch_id: str | None = None
    statuses: tuple[str, ...] = ("pending", "approved")
    class_id: int | None = None


@dataclass(frozen=True)
class Export:
    """A file that is made while it is read."""

    file_name: str
    media_type: str
    chunks: Iterator[bytes]


Chosen = list[tuple[str, str]]


@dataclass(frozen=True)
class _Exported:
    """A sample on its way out; `stem` is unique in the export and a safe name on every system."""

    id: str
    posted_name: str
    stem: str
    blob_sha256: str
    width_px: int
    height_px: int
    detections: Sequence[StoredDetection]
    group: str | None


Named = tuple[str, _Exported]


def export(
    store: Store,
    selection: Selection,
    format_name: ExportFormat,
    class_names: Sequence[str],
    *,
    with_images: bool = True,
) -> Export:
    """Give samples out with the newest version of their boxes, in the order in which they came.

    Args:
        store: Where they are.
        selection: Which.
        format_name: `yolo`: a zip that Ultralytics can train with; `coco`: a zip with JSON.
        class_names: The live model's class map; ids are positions.
        with_images: Without them, COCO is the JSON alone, whose files are called as they were posted.

    Raises:
        NotFound: If no sample is meant, or one that is named does not exist.
        InvalidRequest: If a sample that is named has no checked boxes, or for YOLO without images.
    """
    if format_name == "yolo" and not with_images:
        raise InvalidRequest("YOLO labels name no image sizes: export them with their images, or as COCO.")
    chosen = _choose(store, selection)
    if format_name == "yolo":
        return Export("yolo.zip", ZIP, _yolo(store, chosen, class_names))
    if with_images:
        return Export("coco.zip", ZIP, _coco_zip(store, chosen, class_names))
    return Export("coco.json", JSON, _coco_json(store, chosen, class_names))


def _choose(store: Store, selection: Selection) -> Chosen:
    """Ids of the samples and of the newest version of their boxes: what comes later changes nothing."""
    newest = sa.select(sa.func.max(Correction.version)).where(Correction.sample_id == Sample.id)
    query = (
        sa.select(Sample.id, Correction.id)
        .join(Correction, Correction.sample_id == Sample.id)
        .where(Correction.version == newest.correlate(Sample).scalar_subquery())
        .where(Sample.blob_sha256.is_not(None), *_conditions(selection))
        .order_by(Sample.id)
    )
    with store.database.read() as session:
        chosen = [(sample_id, correction_id) for sample_id, correction_id in session.execute(query)]
    lacking = set(selection.sample_ids) - {sample_id for sample_id, _ in chosen}
    if lacking:
        raise _cannot(store, sorted(lacking))
    if not chosen:
        raise NotFound("No sample fits this selection. Ask for another batch, status or class.")
    return chosen


def _conditions(selection: Selection) -> Iterator[sa.ColumnElement[bool]]:
    if selection.sample_ids:
        yield Sample.id.in_(selection.sample_ids)
        return
    yield Sample.status.in_(selection.statuses)
    if selection.batch_id is not None:
        yield Sample.batch_id == selection.batch_id
    if selection.class_id is not None:
        with_class = sa.select(SampleClass.sample_id).where(SampleClass.class_id == selection.class_id)
        yield Sample.id.in_(with_class)


def _cannot(store: Store, sample_ids: Sequence[str]) -> InvalidRequest | NotFound:
    with store.database.read() as session:
        known = set(session.scalars(sa.select(Sample.id).where(Sample.id.in_(sample_ids))))
    unknown = [sample_id for sample_id in sample_ids if sample_id not in known]
    if unknown:
        return NotFound(f"There is no sample {', '.join(unknown[:_IDS_SHOWN])}.")
    return InvalidRequest(
        f"{len(sample_ids)} samples have no checked boxes: {', '.join(sample_ids[:_IDS_SHOWN])}. "
        "They wait for intake, or in quarantine. Leave them out, or repair them first."
    )


def _load(store: Store, chosen: Chosen) -> Iterator[_Exported]:
    names = _Names()
    for start in range(0, len(chosen), _LOADED_AT_ONCE):
        corrections = [correction_id for _, correction_id in chosen[start : start + _LOADED_AT_ONCE]]
        query = (
            sa.select(Sample, Correction.detections)
            .join(Correction, Correction.sample_id == Sample.id)
            .where(Correction.id.in_(corrections))
            .order_by(Sample.id)
        )
        with store.database.read() as session:
            rows = session.execute(query).all()
        for sample, detections in rows:
            yield _exported(sample, detections, names.give(sample))


def _exported(sample: Sample, detections: Sequence[StoredDetection], stem: str) -> _Exported:
    # The columns are empty only until a sample is taken in.
    return _Exported(
        id=sample.id,
        posted_name=sample.client_sample_id or sample.id,
        stem=stem,
        blob_sha256=cast(str, sample.blob_sha256),
        width_px=cast(int, sample.width_px),
        height_px=cast(int, sample.height_px),
        detections=detections,
        group=sample.group,
    )


class _Names:
    """Gives each sample a file name of its own, if it can be the one that it was posted under."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def give(self, sample: Sample) -> str:
        stem = _safe(sample.client_sample_id or "") or sample.id
        while stem.casefold() in self._given:
            stem = f"{stem}-{sample.id}"
        self._given.add(stem.casefold())
        return stem


def _safe(name: str) -> str:
    """The name without suffix, as one that every system takes; empty if nothing is left of it."""
    stem = str(PurePosixPath(name).with_suffix("")) if is_image(name) else name
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", stem)).strip("._-")
    short = plain.encode()[:_NAME_BYTES].decode(errors="ignore").strip("._-")
    return "" if _RESERVED.match(short) else short


def _image_of(store: Store, sample: _Exported) -> tuple[str, bytes]:
    content = store.blobs.get(sample.blob_sha256)
    return f"{sample.stem}{'.jpg' if content.startswith(_JPEG_START) else '.png'}", content


def _yolo(store: Store, chosen: Chosen, class_names: Sequence[str]) -> Iterator[bytes]:
    out = ZipStream()
    # Without `path`, Ultralytics takes the folder that the file lies in.
    config = {"train": "images", "val": "images", "names": dict(enumerate(class_names))}
    yield from out.text("data.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    for sample in _load(store, chosen):
        name, content = _image_of(store, sample)
        lines = "".join(_yolo_line(sample, detection) for detection in sample.detections)
        yield from out.image(f"images/{name}", content)
        yield from out.text(f"labels/{sample.stem}.txt", lines)
    yield from out.end()


def _yolo_line(sample: _Exported, detection: StoredDetection) -> str:
    x_min, y_min, x_max, y_max = detection["xyxy"]
    shares = (
        (x_min + x_max) / 2 / sample.width_px,
        (y_min + y_max) / 2 / sample.height_px,
        (x_max - x_min) / sample.width_px,
        (y_max - y_min) / sample.height_px,
    )
    # Every digit, so that a box that is read again is the same to the last.
    return f"{detection['class_id']} {' '.join(map(repr, shares))}\n"


def _coco_zip(store: Store, chosen: Chosen, class_names: Sequence[str]) -> Iterator[bytes]:
    out = ZipStream()
    names = []
    for sample in _load(store, chosen):
        name, content = _image_of(store, sample)
        names.append(name)
        yield from out.image(f"images/{name}", content)
    rows = _coco(lambda: zip(names, _load(store, chosen), strict=True), class_names)
    yield from out.texts("annotations/instances.json", rows)
    yield from out.end()


def _coco_json(store: Store, chosen: Chosen, class_names: Sequence[str]) -> Iterator[bytes]:
    rows = _coco(lambda: ((sample.posted_name, sample) for sample in _load(store, chosen)), class_names)
    return (row.encode() for row in rows)


def _coco(named: Callable[[], Iterator[Named]], class_names: Sequence[str]) -> Iterator[str]:
    """A COCO file row by row; the samples are gone through twice, because annotations follow the images."""
    yield '{"images": ['
    yield from _listed(_coco_image(number, *one) for number, one in enumerate(named(), 1))
    yield '], "annotations": ['
    yield from _listed(_coco_annotations(sample for _, sample in named()))
    categories = [{"id": class_id, "name": name} for class_id, name in enumerate(class_names, 1)]
    yield f'], "categories": {json.dumps(categories)}}}\n'


def _listed(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    for position, row in enumerate(rows):
        yield f"{',' if position else ''}\n{json.dumps(row)}"


def _coco_image(number: int, name: str, sample: _Exported) -> dict[str, Any]:
    size = {"width": sample.width_px, "height": sample.height_px}
    group = {} if sample.group is None else {"group": sample.group}
    return {"id": number, "file_name": name, **size, "sample_id": sample.id, **group}


def _coco_annotations(samples: Iterator[_Exported]) -> Iterator[dict[str, Any]]:
    boxes = ((image, box) for image, sample in enumerate(samples, 1) for box in sample.detections)
    for number, (image, box) in enumerate(boxes, 1):
        x_min, y_min, x_max, y_max = box["xyxy"]
        width, height = x_max - x_min, y_max - y_min
        yield {
            "id": number,
            "image_id": image,
            "category_id": box["class_id"] + 1,
            "bbox": [x_min, y_min, width, height],
            "area": width * height,
            "iscrowd": 0,
        }
