"""Exports: what they look like, and that nothing is lost on the way out and in again."""

import io
import json
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from PIL import Image

from core.config import MIB
from core.dataset.base_set import read_base_set
from core.errors import BlobDamaged, InvalidRequest, NotFound
from core.feedback import corrections, uploads
from core.feedback.approved import approved_samples
from core.feedback.exports import ExportFormat, Selection, export
from core.feedback.imports.importing import import_files
from core.feedback.intake import record_batch, take_in
from core.schemas import ImportOptions
from core.store import Store
from core.store.tables import Sample
from tests.factories import (
    CLASS_NAMES,
    Xyxy,
    detection,
    encode,
    make_settings,
    request,
    thermal_file,
)

FORMATS: tuple[ExportFormat, ...] = ("yolo", "coco")


def posted(store: Store, content: bytes, *boxes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A posted image that was uploaded; no box is a false alarm."""
    return {"image_url": uploads.keep(store, content, "ada"), "detections": list(boxes), **more}


def taken(store: Store, *images: dict[str, Any], approve: bool = True) -> str:
    with store.database.write() as session:
        batch_id = record_batch(session, request(*images), source="test", actor="ada", is_trusted=approve).id
    take_in(
        store,
        batch_id,
        class_names=CLASS_NAMES,
        judging={},
        champion_id=None,
        on_progress=lambda done, total: None,
    )
    return batch_id


def exported(
    store: Store, format_name: ExportFormat, selection: Selection | None = None, **options: Any
) -> bytes:
    made = export(store, selection or Selection(), format_name, CLASS_NAMES, **options)
    return b"".join(made.chunks)


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def ids(store: Store, batch_id: str) -> list[str]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(Sample.id).filter_by(batch_id=batch_id).order_by(Sample.id)))


def test_a_yolo_zip(any_store: Store) -> None:
    jpeg, png = thermal_file(1, file_format="JPEG"), thermal_file(2)
    taken(
        any_store,
        posted(
            any_store, jpeg, detection((10, 12, 30, 36), 2), detection((0, 0, 64, 48)), sample_id="T7/a 1.jpg"
        ),
        posted(any_store, png, sample_id="b.tiff"),
    )
    files = unzipped(exported(any_store, "yolo"))
    assert list(files) == [
        "data.yaml", "images/T7_a_1.jpg", "labels/T7_a_1.txt", "images/b.png", "labels/b.txt",
    ]  # fmt: skip
    assert files["data.yaml"].decode() == (
        "train: images\nval: images\nnames:\n  0: hot joint\n  1: cold joint\n  2: overload\n"
    )
    assert files["labels/T7_a_1.txt"] == b"2 0.3125 0.5 0.3125 0.5\n0 0.5 0.5 1.0 1.0\n"
    assert (files["images/T7_a_1.jpg"], files["images/b.png"]) == (jpeg, png)
    assert files["labels/b.txt"] == b""


def test_the_yolo_zip_is_a_base_set(store: Store, tmp_path: Path) -> None:
    taken(store, *(posted(store, thermal_file(n), detection((8, 8, 40, 40), n % 3)) for n in range(6)))
    with zipfile.ZipFile(io.BytesIO(exported(store, "yolo"))) as archive:
        archive.extractall(tmp_path / "unpacked")
    base = read_base_set(tmp_path / "unpacked")
    assert base.class_names == CLASS_NAMES
    by_name = sorted(base.train.images, key=lambda image: image.path)
    assert [image.labels[0].class_id for image in by_name] == [0, 1, 2, 0, 1, 2]


def test_coco_as_zip_and_alone(any_store: Store) -> None:
    taken(
        any_store,
        posted(
            any_store, thermal_file(1), detection((1.5, 2, 11.5, 22), 1), sample_id="T7/a 1.png", group="T7"
        ),
        posted(any_store, thermal_file(2)),
    )
    files = unzipped(exported(any_store, "coco"))
    first, second = ids_in_order(any_store)
    assert list(files) == ["images/T7_a_1.png", f"images/{second}.png", "annotations/instances.json"]
    document = json.loads(files["annotations/instances.json"])
    size = {"width": 64, "height": 48}
    assert document == {
        "images": [
            {"id": 1, "file_name": "T7_a_1.png", **size, "sample_id": first, "group": "T7"},
            {"id": 2, "file_name": f"{second}.png", **size, "sample_id": second},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [1.5, 2, 10, 20], "area": 200, "iscrowd": 0}
        ],
        "categories": [
            {"id": 1, "name": "hot joint"},
            {"id": 2, "name": "cold joint"},
            {"id": 3, "name": "overload"},
        ],
    }
    alone = json.loads(exported(any_store, "coco", with_images=False))
    assert [row["file_name"] for row in alone["images"]] == ["T7/a 1.png", second]
    assert alone["annotations"] == document["annotations"]


def ids_in_order(store: Store) -> list[str]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(Sample.id).order_by(Sample.id)))


def chosen(store: Store, **selection: Any) -> list[str]:
    document = json.loads(exported(store, "coco", Selection(**selection), with_images=False))
    return [row["sample_id"] for row in document["images"]]


def test_a_selection_is_by_batch_status_class_or_name(any_store: Store) -> None:
    first = taken(
        any_store,
        posted(any_store, thermal_file(1), detection(class_id=1)),
        posted(any_store, thermal_file(2), detection(class_id=2)),
    )
    second = taken(any_store, posted(any_store, thermal_file(3), detection(class_id=1)), approve=False)
    taken(any_store, posted(any_store, b"GIF89a", detection()))
    one, two, three = [*ids(any_store, first), *ids(any_store, second)]
    with any_store.database.write() as session:
        session.get_one(Sample, two).status = "rejected"

    assert chosen(any_store) == [one, three]
    assert chosen(any_store, statuses=("rejected",)) == [two]
    assert chosen(any_store, statuses=("approved", "rejected"), batch_id=first) == [one, two]
    assert chosen(any_store, class_id=1) == [one, three]
    assert chosen(any_store, class_id=1, batch_id=second) == [three]
    assert chosen(any_store, sample_ids=(three, two)) == [two, three]


def test_the_newest_boxes_are_given_out_as_they_were_when_it_began(store: Store) -> None:
    batch_id = taken(store, posted(store, thermal_file(1), detection()))
    correct(store, ids(store, batch_id)[0], (1, 2, 3, 4))
    made = export(store, Selection(), "coco", CLASS_NAMES, with_images=False)
    correct(store, ids(store, batch_id)[0], (5, 6, 7, 8))
    assert json.loads(b"".join(made.chunks))["annotations"][0]["bbox"] == [1, 2, 2, 2]


def correct(store: Store, sample_id: str, xyxy: Xyxy) -> None:
    with store.database.write() as session:
        sample = session.get_one(Sample, sample_id)
        corrections.add(session, sample, [{"xyxy": list(xyxy), "class_id": 0}], "ada")


def test_what_cannot_be_given_out_is_named(store: Store) -> None:
    quarantined = ids(store, taken(store, posted(store, b"GIF89a", detection())))[0]
    with pytest.raises(InvalidRequest, match=quarantined):
        exported(store, "yolo", Selection(sample_ids=(quarantined,)))
    with pytest.raises(NotFound, match="sample-none"):
        exported(store, "yolo", Selection(sample_ids=(quarantined, "sample-none")))
    with pytest.raises(NotFound, match="No sample fits"):
        exported(store, "yolo", Selection(batch_id="batch-none"))
    with pytest.raises(InvalidRequest, match="with their images"):
        exported(store, "yolo", with_images=False)


def test_a_lost_image_breaks_the_export_off(store: Store) -> None:
    batch_id = taken(store, posted(store, thermal_file(1), detection()))
    store.blobs.delete(approved_samples(store, batch_id)[0].blob_sha256)
    with pytest.raises(BlobDamaged):
        exported(store, "yolo")


AWKWARD = [
    "../../etc/passwd", "CON.jpg", "com1", "a.jpg", "A.JPG", "a.png", "Ölkühler 3.jpeg", "...", "", "x" * 200,
    "ä" * 200, "tab\tnew\nline", "-rf", "trailing. ", "日本語.jpg", "a.rf.1b.jpg",
]  # fmt: skip


def test_names_are_safe_and_unique_on_every_system(store: Store) -> None:
    images = [
        posted(store, thermal_file(number), detection(), **({"sample_id": name} if name.strip() else {}))
        for number, name in enumerate(AWKWARD)
    ]
    taken(store, *images)
    names = [name.removeprefix("images/") for name in unzipped(exported(store, "yolo")) if "images/" in name]
    stems = [Path(name).stem for name in names]
    assert len({stem.casefold() for stem in stems}) == len(AWKWARD)
    for name in names:
        assert "/" not in name
        assert len(name.encode()) < 255
        assert name[0] not in ".-"
        assert Path(name).stem.casefold() not in ("con", "com1")
    assert stems[3] == "a"
    assert stems[6] == "Ölkühler_3"
    assert stems[14] == "日本語"
    assert stems[15] == "a.rf.1b"


def test_the_same_selection_makes_the_same_bytes(store: Store) -> None:
    taken(store, *(posted(store, thermal_file(n), detection()) for n in range(3)))
    for name in FORMATS:
        assert exported(store, name) == exported(store, name)


def test_a_reader_that_cannot_seek_finds_each_size_before_its_content(store: Store) -> None:
    taken(store, posted(store, thermal_file(1), detection()))
    for name in FORMATS:
        with zipfile.ZipFile(io.BytesIO(exported(store, name))) as archive:
            assert all(entry.flag_bits & 0x8 == 0 for entry in archive.infolist())


def noise(seed: int) -> bytes:
    """Half a MiB that no packing makes smaller."""
    pixels = np.random.default_rng(seed).integers(0, 255, (512, 512, 3), np.uint8)
    return encode(Image.fromarray(pixels), "JPEG", quality=100)


def test_memory_holds_one_image_at_a_time(store: Store) -> None:
    taken(store, *(posted(store, noise(number), detection()) for number in range(12)))
    for name in FORMATS:
        tracemalloc.start()
        size_bytes = sum(len(chunk) for chunk in export(store, Selection(), name, CLASS_NAMES).chunks)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size_bytes > 5 * MIB
        assert peak_bytes < size_bytes / 2


SIZES = [(16, 16), (64, 48), (37, 101)]
SHARE = st.floats(0, 1)


@st.composite
def samples(draw: st.DrawFn) -> list[tuple[tuple[int, int], list[tuple[Xyxy, int]]]]:
    """Sizes of images, each with boxes of at least a pixel a side, on any real numbers."""

    def edges(side_px: int) -> tuple[float, float]:
        low = draw(SHARE) * (side_px - 1)
        return low, min(low + 1 + draw(SHARE) * (side_px - 1 - low) + 1e-5, side_px)

    def box(size_px: tuple[int, int]) -> tuple[Xyxy, int]:
        (left, right), (top, bottom) = edges(size_px[0] - 1), edges(size_px[1] - 1)
        return (left, top, right, bottom), draw(st.integers(0, len(CLASS_NAMES) - 1))

    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=3))
    return [(size_px, [box(size_px) for _ in range(draw(st.integers(0, 4)))]) for size_px in sizes]


Boxes = list[tuple[str, list[tuple[int, list[float]]]]]


def boxes_of(store: Store, batch_id: str) -> Boxes:
    return sorted(
        (sample.blob_sha256, sorted((box["class_id"], box["xyxy"]) for box in sample.detections))
        for sample in approved_samples(store, batch_id)
    )


def imported(store: Store, sources: Sequence[tuple[str, bytes]]) -> str:
    report = import_files(
        store,
        [(name, io.BytesIO(content)) for name, content in sources],
        ImportOptions(trusted=True),
        class_names=CLASS_NAMES,
        actor="ada",
        on_progress=lambda phase, done, total: None,
    )
    assert (report.images_left_out, report.boxes_left_out) == (0, 0)
    take_in(
        store,
        report.batch_id or "",
        class_names=CLASS_NAMES,
        judging={},
        champion_id=None,
        on_progress=lambda done, total: None,
    )
    return report.batch_id or ""


@pytest.mark.parametrize("format_name", FORMATS)
@given(drawn=samples())
@budget(max_examples=15)
def test_what_is_given_out_and_taken_in_again_is_exactly_the_same(
    format_name: ExportFormat, drawn: list[tuple[tuple[int, int], list[tuple[Xyxy, int]]]]
) -> None:
    # A store for each example: the same image with other boxes would be a conflict.
    with TemporaryDirectory() as home, Store.open(make_settings(Path(home))) as store:
        images = [
            posted(
                store,
                thermal_file(number, *size_px),
                *(detection(xyxy, class_id) for xyxy, class_id in boxes),
            )
            for number, (size_px, boxes) in enumerate(drawn)
        ]
        batch_id = taken(store, *images)
        assert len(boxes_of(store, batch_id)) == len(drawn)
        content = exported(store, format_name, Selection(batch_id=batch_id))
        assert boxes_of(store, imported(store, [("x.zip", content)])) == boxes_of(store, batch_id)


def test_json_alone_is_taken_in_with_the_images_it_was_posted_with(store: Store) -> None:
    first, second = thermal_file(1), thermal_file(2, file_format="JPEG")
    batch_id = taken(
        store,
        posted(store, first, detection((1 / 3, 2, 20.123456789, 22)), sample_id="a.png"),
        posted(store, second, sample_id="b.jpg", group="T1"),
    )
    content = exported(store, "coco", with_images=False)
    again = imported(store, [("coco.json", content), ("a.png", first), ("b.jpg", second)])
    assert boxes_of(store, again) == boxes_of(store, batch_id)
    assert [sample.group for sample in approved_samples(store, again)] == [None, "T1"]
