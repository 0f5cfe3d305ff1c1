"""The way from an archive to a feedback batch, and what class names are mapped to."""

import io
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image

from core.dataset.base_set import BaseSet, read_base_set
from core.dataset.feedback_set import labelled
from core.dataset.revision import compose
from core.errors import DiskFull, InvalidRequest
from core.feedback.approved import approved_samples
from core.feedback.imports.importing import import_files
from core.feedback.imports.inspection import ImportedClass, ImportReport
from core.feedback.intake import quarantined, take_in
from core.schemas import Hyperparameters, ImportOptions
from core.store import Store
from core.store.tables import Batch, Sample, Upload
from tests.factories import CLASS_NAMES, make_settings, write_base_set
from tests.unit.feedback.imports.archives import HEIGHT, WIDTH, Files, picture, silent, zipped
from tests.unit.feedback.imports.tools import PACKS, Labelled, YoloBox

Sources = list[tuple[str, io.BytesIO]]
LABEL = "0 0.5 0.5 0.5 0.5\n"


def imported(store: Store, sources: Files | Sources, **options: Any) -> ImportReport:
    packed = sources if isinstance(sources, list) else [("import.zip", zipped(sources))]
    return import_files(
        store,
        packed,
        ImportOptions(**({"trusted": True} | options)),
        class_names=CLASS_NAMES,
        actor="ada",
        on_progress=silent,
    )


def taken(store: Store, batch_id: str | None, class_names: Any = CLASS_NAMES) -> str:
    take_in(
        store,
        batch_id or "",
        class_names=class_names,
        judging={},
        champion_id=None,
        on_progress=lambda done, total: None,
    )
    return batch_id or ""


def of_classes(*names: str) -> Files:
    """An image an each class, in YOLO format."""
    files: dict[str, bytes | str] = {"classes.txt": "\n".join(names)}
    for class_id in range(len(names)):
        files[f"images/{class_id}.jpg"] = picture(class_id)
        files[f"labels/{class_id}.txt"] = f"{class_id} 0.5 0.5 0.5 0.5"
    return files


def samples(store: Store) -> list[Sample]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(Sample).order_by(Sample.id)))


def count(store: Store, table: type[Any]) -> int:
    with store.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_an_import_is_one_batch_that_waits(any_store: Store) -> None:
    files = of_classes("hot joint", "overload") | {"images/b.jpg": picture(9), "labels/b.txt": ""}
    report = imported(any_store, files, note="from the summer", trusted=False)
    assert (report.format, report.images, report.boxes, report.images_without_box) == ("yolo", 3, 2, 1)
    with any_store.database.read() as session:
        batch = session.get_one(Batch, report.batch_id)
    assert (batch.source, batch.actor, batch.note, batch.is_trusted) == (
        "import",
        "ada",
        "from the summer",
        False,
    )
    assert batch.class_map == {"hot joint": "hot joint", "overload": "overload"}
    assert [(one.client_sample_id, one.status) for one in samples(any_store)] == [
        ("0.jpg", "pending"),
        ("1.jpg", "pending"),
        ("b.jpg", "pending"),
    ]
    assert samples(any_store)[0].posted == [
        {"box": {"x_min": 16.0, "y_min": 12.0, "x_max": 48.0, "y_max": 36.0}, "class_name": "hot joint"}
    ]


def test_it_goes_through_intake(store: Store) -> None:
    files = of_classes("hot joint") | {"images/x.jpg": picture()[:-100], "labels/x.txt": LABEL}
    batch_id = taken(store, imported(store, files).batch_id)
    (sample,) = approved_samples(store, batch_id)
    assert store.blobs.get(sample.blob_sha256) == picture(0)
    assert sample.detections == ({"xyxy": [16, 12, 48, 36], "class_id": 0},)
    assert [(one.sample_id, one.code) for one in quarantined(store, batch_id)] == [
        ("x.jpg", "decode_truncated")
    ]


def test_a_dry_run_takes_nothing(store: Store) -> None:
    report = imported(store, of_classes("hot joint", "Cold-Joint", "moth"), dry_run=True)
    assert report.batch_id is None
    assert [(one.name, one.boxes, one.live_name, one.why) for one in report.classes] == [
        ("Cold-Joint", 1, "cold joint", "alike"),
        ("hot joint", 1, "hot joint", "same"),
        ("moth", 1, None, "unknown"),
    ]
    assert (report.images, report.boxes, report.images_without_box) == (3, 2, 1)
    assert count(store, Upload) == count(store, Batch) == 0


def test_images_and_labels_may_come_one_by_one(store: Store) -> None:
    sources = [
        ("a.jpg", io.BytesIO(picture(1))),
        ("a.txt", io.BytesIO(LABEL.encode())),
        ("classes.txt", io.BytesIO(b"overload")),
    ]
    assert imported(store, sources).boxes == 1


@pytest.mark.parametrize(
    ("name", "live_name", "why"),
    [
        ("overload", "overload", "same"),
        ("Over_Load", "overload", "alike"),
        (" HOT  joint", "hot joint", "alike"),
        ("Kaltstelle", None, "unknown"),
    ],
)
def test_the_mapping_that_is_proposed(store: Store, name: str, live_name: str | None, why: str) -> None:
    files = {"data.yaml": f"names: ['{name}']", "a.jpg": picture(), "a.txt": LABEL}
    (proposed,) = imported(store, files, dry_run=True).classes
    assert (proposed.live_name, proposed.why) == (live_name, why)


def test_a_class_that_stands_for_nothing_has_to_be_chosen(store: Store) -> None:
    files = of_classes("hot joint", "moth", "bird")
    with pytest.raises(InvalidRequest, match="moth, bird") as caught:
        imported(store, files)
    assert caught.value.extra == {"unknown_classes": ["moth", "bird"], "class_names": list(CLASS_NAMES)}
    assert count(store, Upload) == count(store, Batch) == 0
    with pytest.raises(InvalidRequest, match="no class insect"):
        imported(store, files, mapping={"moth": "insect"})

    report = imported(store, files, mapping={"moth": None, "bird": "overload"})
    assert (report.images, report.boxes, report.images_without_box) == (3, 2, 1)
    assert report.classes[0] == ImportedClass(name="bird", boxes=1, live_name="overload", why="chosen")
    assert [len(sample.posted) for sample in samples(store)] == [1, 0, 1]


def test_what_was_chosen_is_proposed_the_next_time(any_store: Store) -> None:
    files = of_classes("moth", "overload")
    imported(any_store, files, mapping={"moth": None, "overload": "hot joint"})
    again = imported(any_store, files)
    assert [(one.live_name, one.why) for one in again.classes] == [
        (None, "remembered"),
        ("hot joint", "remembered"),
    ]
    imported(any_store, files, mapping={"moth": "cold joint"})
    newest = imported(any_store, files, dry_run=True)
    assert [one.live_name for one in newest.classes] == ["cold joint", "hot joint"]


def test_a_choice_that_the_live_model_no_longer_knows_is_forgotten(store: Store) -> None:
    files = of_classes("moth")
    import_files(
        store,
        [("x.zip", zipped(files))],
        ImportOptions(mapping={"moth": "insect"}),
        class_names=["insect"],
        actor="ada",
        on_progress=silent,
    )
    assert imported(store, files, dry_run=True).classes[0].why == "unknown"


def test_names_that_are_no_ids_are_made_so(store: Store) -> None:
    long_name = "x" * 230
    files = {
        "classes.txt": "overload",
        "train/images/a.jpg": picture(1),
        "train/labels/a.txt": LABEL,
        "valid/images/a.jpg": picture(2),
        "valid/labels/a.txt": LABEL,
        f"{long_name}.jpg": picture(3),
        f"{long_name}.txt": LABEL,
    }
    imported(store, files)
    first, second, third = (sample.client_sample_id or "" for sample in samples(store))
    assert (first, second) == ("train/images/a.jpg", "valid/images/a.jpg")
    assert len(third) == 200


def test_an_import_without_a_usable_image_is_refused(store: Store) -> None:
    files = {"classes.txt": "overload", "a.jpg": picture(), "a.txt": "0 0.5"}
    with pytest.raises(InvalidRequest, match=r"No image of the import can be used. a\.txt: .*2 fields"):
        imported(store, files)


def test_too_many_boxes_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.feedback.imports.inspection._MAX_BOXES", 2)
    with pytest.raises(InvalidRequest, match="over 2 boxes"):
        imported(store, of_classes(*CLASS_NAMES))


def test_too_many_class_names_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.feedback.imports.inspection._MAX_CLASSES", 2)
    with pytest.raises(InvalidRequest, match="3 class names"):
        imported(store, of_classes(*CLASS_NAMES))


def test_two_formats_at_once_have_to_be_named(store: Store) -> None:
    files = of_classes("overload") | {"a.json": '{"images": [], "annotations": [], "categories": []}'}
    with pytest.raises(InvalidRequest, match="YOLO and COCO JSON"):
        imported(store, files)
    assert imported(store, files, format="yolo").images == 1


def test_nothing_is_recorded_when_the_disk_is_full(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object, content: bytes, what: str = "") -> str:
        raise DiskFull(f"no space for {len(content)} bytes")

    with monkeypatch.context() as patch:
        patch.setattr(type(store.blobs), "put", full)
        with pytest.raises(DiskFull):
            imported(store, of_classes("overload"))
    assert count(store, Batch) == 0
    assert imported(store, of_classes("overload")).images == 1


def test_progress_counts_every_image_and_may_stop(store: Store) -> None:
    class Stopped(Exception):
        pass

    seen: list[tuple[str, int, int]] = []

    def watch(phase: str, done: int, total: int) -> None:
        seen.append((phase, done, total))
        if (phase, done) == ("Storing images", 2):
            raise Stopped

    with pytest.raises(Stopped):
        import_files(
            store,
            [("x.zip", zipped(of_classes(*CLASS_NAMES)))],
            ImportOptions(),
            class_names=CLASS_NAMES,
            actor="ada",
            on_progress=watch,
        )
    assert seen == [
        *(("Reading labels", done, 3) for done in range(4)),
        ("Storing images", 1, 3),
        ("Storing images", 2, 3),
    ]
    assert count(store, Batch) == 0


def made_up() -> list[Labelled]:
    """Labels with awkward digits, in an order that is not sorted, and along the edges of the image."""
    boxes = [
        [YoloBox(1, 0.701796875, 0.701796875, 0.562984375, 0.562984375), YoloBox(0, 0.1, 0.3, 0.2, 0.6)],
        [YoloBox(2, 0.5, 0.5, 1.0, 1.0), YoloBox(2, 0.41807542262678804, 0.7248, 0.0277405721, 0.039859)],
        [],
        # A dataset keeps eight decimals of a share: each of these lies half-way between two.
        [YoloBox(0, 0.3 + n * 0.01 + 5e-9, 0.4 + n * 0.01 + 5e-9, 0.20000001, 1 / 3) for n in range(20)],
    ]
    return [
        Labelled(f'T{number} ü&"{number}.jpg', picture(number), WIDTH, HEIGHT, found)
        for number, found in enumerate(boxes)
    ]


def digest(store: Store, base: BaseSet, packed: io.BytesIO) -> str:
    """Of the dataset revision that the samples of an import make."""
    report = import_files(
        store,
        [("x.zip", packed)],
        ImportOptions(trusted=True),
        class_names=base.class_names,
        actor="ada",
        on_progress=silent,
    )
    batch_id = taken(store, report.batch_id, base.class_names)
    assert quarantined(store, batch_id) == []
    assert (report.images_left_out, report.boxes_left_out) == (0, 0)
    feedback = labelled(store, approved_samples(store, batch_id))
    return compose(base, feedback, [], [], Hyperparameters(train_replay=2, epochs=1)).digest


def test_every_format_gives_the_same_dataset(store: Store, tmp_path: Path) -> None:
    base = read_base_set(write_base_set(tmp_path / "base_set"))
    packed = [pack(made_up(), CLASS_NAMES) for pack in PACKS.values()]
    assert len({digest(store, base, one) for one in packed}) == 1
    moved = [
        image._replace(boxes=[box._replace(x=box.x + 1e-5) for box in image.boxes]) for image in made_up()
    ]
    # In a store of its own: where the images are known with other boxes, it would be a conflict.
    with Store.open(make_settings(tmp_path / "other")) as other:
        assert digest(other, base, PACKS["coco"](moved, CLASS_NAMES)) != digest(store, base, packed[0])


def real(folder: Path) -> list[Labelled]:
    """Every sixth image of the detector's own training set."""
    images = []
    for path in sorted((folder / "train" / "images").iterdir())[::6]:
        lines = (folder / "train" / "labels" / f"{path.stem}.txt").read_text().split("\n")
        fields = [line.split() for line in lines if line.strip()]
        boxes = [YoloBox(int(field[0]), *map(float, field[1:])) for field in fields]
        with Image.open(path) as image:
            images.append(Labelled(path.name, path.read_bytes(), *image.size, boxes))
    return images


@pytest.mark.real_data
def test_every_format_gives_the_same_dataset_of_real_images(
    store: Store, real_data: Path, tmp_path: Path
) -> None:
    names = [
        "Full wire overload",
        "Loose Joint -Faulty",
        "Loose Joint -Potential",
        "Point Overload - Faulty",
        "normal",
    ]
    base = read_base_set(
        write_base_set(tmp_path / "base_set", names, images={"train": 5, "valid": 5, "test": 5})
    )
    images = real(real_data / "tms-thermal")
    assert len(images) == 13
    digests = {name: digest(store, base, pack(images, names)) for name, pack in PACKS.items()}
    assert len(set(digests.values())) == 1
