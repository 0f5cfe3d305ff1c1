"""The demo's pictures, base set and feedback."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import yaml
from filelock import FileLock
from PIL import Image

from core import demo
from core.config import CHECKOUT
from core.dataset.base_set import read_base_set
from core.demo.base_set import write_base_set
from core.demo.canvas import Xyxy
from core.demo.faults import CLASS_NAMES, FULL_WIRE, LOOSE_JOINT, MILD_JOINT, NORMAL, POINT_OVERLOAD
from core.demo.feedback import build_payload, write_feedback
from core.demo.scenes import VIEW_NAMES, draw_scene, make_transformer
from core.demo.whole import clear_partials
from core.schemas import FineTuneRequest

SPLITS = ("train", "valid", "test")
FAULTS = (FULL_WIRE, LOOSE_JOINT, MILD_JOINT, POINT_OVERLOAD)
TRANSFORMERS = range(2 * len(VIEW_NAMES))


def write_small(root: Path, **changes: object) -> None:
    write_base_set(root, **{"train": 14, "valid": 7, "test": 7} | changes)


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def base_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "base_set"
    write_small(root)
    return root


def test_class_names_have_the_order_of_the_detector_in_the_field():
    assert CLASS_NAMES == (
        "Full wire overload",
        "Loose Joint -Faulty",
        "Loose Joint -Potential",
        "Point Overload - Faulty",
        "normal",
    )


def test_the_same_seed_draws_the_same_picture_and_another_seed_another():
    transformer = make_transformer(1, 4)
    first, again, other = (draw_scene(transformer, (LOOSE_JOINT,), seed) for seed in (5, 5, 6))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.boxes == again.boxes
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("number", TRANSFORMERS)
def test_boxes_lie_within_the_picture_and_name_what_was_asked_for(number: int):
    for index, faults in enumerate([(), *[(fault,) for fault in FAULTS], FAULTS]):
        scene = draw_scene(make_transformer(3, number), faults, (3, number, index))
        height, width = scene.image.shape[:2]
        found = Counter(box.class_id for box in scene.boxes)
        bodies = 3 if make_transformer(3, number).view == "front" else 1
        assert found == Counter(faults) + Counter({NORMAL: bodies - (POINT_OVERLOAD in faults)})
        for box in scene.boxes:
            x_min, y_min, x_max, y_max = box.xyxy
            assert 0 <= x_min < x_max - 5 < width
            assert 0 <= y_min < y_max - 5 < height


@pytest.mark.parametrize("number", TRANSFORMERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_s_box_encloses_the_heat_that_it_adds_and_nothing_more(fault: int, number: int):
    transformer = make_transformer(11, number)
    healthy, faulty = (draw_scene(transformer, faults, (11, number)) for faults in ((), (fault,)))
    box = next(box.xyxy for box in faulty.boxes if box.class_id == fault)
    rise_c = faulty.field_c - healthy.field_c
    rows, columns = np.nonzero(rise_c > 0.15 * rise_c.max())
    heated = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    assert overlap(box, heated) > 0.7, (box, heated)


def overlap(one: Xyxy, other: Xyxy) -> float:
    """Intersection over union of two xyxy boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(x_max - x_min) * (y_max - y_min) for x_min, y_min, x_max, y_max in (one, other)]
    return shared / (sum(areas) - shared)


def test_a_faulty_joint_is_far_hotter_than_a_potential_one():
    transformer = make_transformer(2, 0)
    strong, mild = (draw_scene(transformer, (fault,), 9) for fault in (LOOSE_JOINT, MILD_JOINT))
    assert strong.field_c.max() - mild.field_c.max() > 10


def test_the_base_set_is_in_yolo_layout_and_the_product_reads_it(base_set: Path):
    read = read_base_set(base_set)
    assert read.class_names == CLASS_NAMES
    assert [len(split.images) for split in (read.train, read.tune, read.test)] == [14, 7, 7]
    assert read.notes == ()
    assert yaml.safe_load((base_set / "data.yaml").read_text(encoding="utf-8"))["nc"] == 5


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_shows_every_class(base_set: Path, split: str):
    labels = [
        path.read_text(encoding="utf-8").splitlines() for path in (base_set / split / "labels").iterdir()
    ]
    found = Counter(int(line.split()[0]) for lines in labels for line in lines)
    assert set(found) == set(range(len(CLASS_NAMES)))


def test_no_transformer_is_in_two_splits(base_set: Path):
    groups = [
        {path.stem.split("_")[0] for path in (base_set / split / "images").iterdir()} for split in SPLITS
    ]
    assert sum(map(len, groups)) == len(set.union(*groups)) >= 5


def test_the_same_seed_writes_the_same_files(base_set: Path, tmp_path: Path):
    write_small(tmp_path / "again")
    write_small(tmp_path / "other", seed=99)
    assert contents(tmp_path / "again") == contents(base_set)
    assert contents(tmp_path / "other") != contents(base_set)


def test_a_base_set_that_is_there_stays_as_it_is(tmp_path: Path):
    (tmp_path / "data.yaml").write_text("names: [mine]")
    write_small(tmp_path)
    assert contents(tmp_path) == {"data.yaml": b"names: [mine]"}


def test_a_folder_with_other_things_is_not_touched(tmp_path: Path):
    (tmp_path / "holiday.jpg").write_bytes(b"sun")
    with pytest.raises(FileExistsError, match="Move it away"):
        write_small(tmp_path)
    assert contents(tmp_path) == {"holiday.jpg": b"sun"}


def test_a_writer_that_fails_half_way_leaves_nothing(tmp_path: Path):
    def fail_half_way(share: float) -> None:
        if share > 0.5:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_small(tmp_path / "base_set", on_share=fail_half_way)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_cleared_and_written_anew(tmp_path: Path, base_set: Path):
    program = (
        "import os, sys; from pathlib import Path; from core.demo.base_set import write_base_set;"
        "write_base_set(Path(sys.argv[1]), train=2, valid=1, test=1, on_share=lambda _: os._exit(9))"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "base_set")], cwd=CHECKOUT)
    assert killed.returncode == 9
    assert [path.name.startswith(".base_set") for path in tmp_path.iterdir()] == [True]
    clear_partials(tmp_path)
    assert list(tmp_path.iterdir()) == []
    write_small(tmp_path / "base_set")
    assert contents(tmp_path / "base_set") == contents(base_set)


def test_progress_goes_from_the_first_picture_to_the_whole(tmp_path: Path):
    shares: list[float] = []
    write_base_set(tmp_path / "base_set", train=2, valid=1, test=1, on_share=shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_the_committed_example_is_what_the_generator_builds():
    example = json.loads((CHECKOUT / "examples" / "finetune.json").read_text(encoding="utf-8"))
    assert example == build_payload(), "run `python -m core.demo`"


def test_the_example_is_a_valid_request_with_every_class():
    request = FineTuneRequest.model_validate(build_payload())
    assert {found.class_id for image in request.images for found in image.detections} == set(range(5))


def test_the_payload_names_the_images_that_are_written_with_boxes_inside_them(tmp_path: Path):
    write_feedback(tmp_path / "feedback")
    request = FineTuneRequest.model_validate(build_payload("http://host"))
    names = {path.name for path in (tmp_path / "feedback").iterdir()}
    assert names == {image.image_url.removeprefix("http://host/") for image in request.images}
    for image in request.images:
        with Image.open(tmp_path / "feedback" / image.image_url.removeprefix("http://host/")) as picture:
            width, height = picture.size
        for found in image.detections:
            assert 0 <= found.box.x_min < found.box.x_max <= width
            assert 0 <= found.box.y_min < found.box.y_max <= height


def test_feedback_comes_from_transformers_that_the_base_set_does_not_know():
    groups = {image["group"] for image in build_payload()["images"]}
    assert not groups & {f"T{number:02}" for number in range(1, 200)}


def test_a_finished_demo_is_left_alone_and_a_second_process_waits_for_the_first(tmp_path: Path):
    for name in ("base_set/data.yaml", "feedback/one.jpg", "baseline.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"there")
    said: list[str] = []
    second = Thread(
        target=demo.ensure_demo, args=(tmp_path,), kwargs={"on_progress": lambda what, _: said.append(what)}
    )
    with FileLock(tmp_path / ".lock"):
        second.start()
        second.join(0.1)
        assert second.is_alive()
    second.join(10)
    assert not second.is_alive()
    assert said == []
    assert set(contents(tmp_path).values()) == {b"there", b""}


def test_the_demo_loads_no_torch_until_it_teaches():
    program = "import sys, core.demo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT).returncode == 0
