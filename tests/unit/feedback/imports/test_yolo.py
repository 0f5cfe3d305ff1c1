"""YOLO as the tools write it."""

import pytest

from core.errors import InvalidRequest
from tests.factories import thermal_file
from tests.unit.feedback.imports.archives import boxes_in, inspected, picture, told

ROBOFLOW_YAML = """\
train: ../train/images
val: ../valid/images
test: ../test/images

nc: 2
names: ['Loose Joint -Faulty', 'normal']

roboflow:
  workspace: dinuka-7npfe
  license: CC BY 4.0
"""
BOX = ("normal", (16.0, 12.0, 48.0, 36.0))


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("train/images/a_jpg.rf.1b.jpg", "train/labels/a_jpg.rf.1b.txt"),
        ("export/train/images/a.jpg", "export/train/labels/a.txt"),
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("Images/a.JPG", "Labels/a.TXT"),
        ("a.jpg", "a.txt"),
        ("pictures/a.jpg", "annotated/a.txt"),
        ("images/T10 Ölkühler (2).jpg", "labels/T10 Ölkühler (2).txt"),
    ],
)
def test_a_label_is_found_where_tools_put_it(image: str, label: str) -> None:
    files = {"data.yaml": ROBOFLOW_YAML, image: picture(), label: "1 0.5 0.5 0.5 0.5\n"}
    assert boxes_in(inspected(files)) == {image: [BOX]}


def test_splits_may_hold_images_of_the_same_name() -> None:
    files = {
        "data.yaml": ROBOFLOW_YAML,
        "train/images/a.jpg": picture(1),
        "train/labels/a.txt": "0 0.5 0.5 0.5 0.5",
        "valid/images/a.jpg": picture(2),
        "valid/labels/a.txt": "1 0.5 0.5 0.5 0.5",
    }
    assert boxes_in(inspected(files)) == {
        "train/images/a.jpg": [("Loose Joint -Faulty", BOX[1])],
        "valid/images/a.jpg": [BOX],
    }


def test_images_that_differ_in_case_alone_keep_their_own_labels() -> None:
    files = {"classes.txt": "normal", "A.jpg": picture(1), "a.jpg": picture(2), "a.txt": "0 0.5 0.5 0.5 0.5"}
    inspection = inspected(files)
    assert boxes_in(inspection) == {"a.jpg": [BOX]}
    assert told(inspection) == [("A.jpg", None, "image")]


def test_a_label_of_another_split_is_not_taken() -> None:
    files = {
        "classes.txt": "normal",
        "train/images/a.jpg": picture(1),
        "train/labels/a.txt": "0 0.5 0.5 0.5 0.5",
        "valid/images/a.jpg": picture(2),
        "test/labels/a.txt": "0 0.1 0.1 0.1 0.1",
    }
    inspection = inspected(files)
    assert boxes_in(inspection) == {"train/images/a.jpg": [BOX]}
    assert told(inspection) == [("test/labels/a.txt", None, "image"), ("valid/images/a.jpg", None, "image")]


def test_a_label_that_may_belong_to_two_images_belongs_to_none() -> None:
    files = {"classes.txt": "normal", "a.jpg": picture(1), "a.png": picture(2), "a.txt": "0 0.5 0.5 0.5 0.5"}
    inspection = inspected(files)
    assert boxes_in(inspection) == {}
    assert [costs for _, _, costs in told(inspection)] == ["image"] * 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "names:\n  0: cold\n  1: normal\n"),
        ("data.yaml", "names:\n- cold\n- normal\nnc: 2\n"),
        ("data.yaml", "names: {1: normal, 0: cold, 7: other}"),
        ("classes.txt", "cold\nnormal\n"),
        ("labels/classes.txt", "cold\r\nnormal"),
        ("obj.names", "cold\nnormal"),
    ],
)
def test_class_names_are_read_from_what_tools_write(name: str, text: str) -> None:
    files = {name: text, "images/a.jpg": picture(), "labels/a.txt": "1 0.5 0.5 0.5 0.5"}
    assert boxes_in(inspected(files)) == {"images/a.jpg": [BOX]}


def test_the_yolo_export_of_label_studio() -> None:
    files = {
        "classes.txt": "cold\nnormal\n",
        "notes.json": '{"categories": [{"id": 0, "name": "cold"}], "info": {"contributor": "Label Studio"}}',
        "images/0f3b2c1d-T1.jpg": picture(),
        "labels/0f3b2c1d-T1.txt": "1 0.5 0.5 0.5 0.5\n",
    }
    inspection = inspected(files)
    assert boxes_in(inspection) == {"images/0f3b2c1d-T1.jpg": [BOX]}
    assert told(inspection) == [("notes.json", None, "nothing")]


def test_the_yolo_export_of_cvat() -> None:
    files = {
        "obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
        "obj.names": "cold\nnormal\n",
        "train.txt": "data/obj_train_data/T1.jpg\n",
        "obj_train_data/T1.jpg": picture(),
        "obj_train_data/T1.txt": "1 0.500000 0.500000 0.500000 0.500000\n",
    }
    inspection = inspected(files)
    assert boxes_in(inspection) == {"obj_train_data/T1.jpg": [BOX]}
    assert inspection.images_left_out == inspection.boxes_left_out == 0


def test_names_that_yaml_would_turn_into_something_else_stay_what_they_are() -> None:
    files = {
        "data.yaml": "names: [on, 1e3, null, 2001-01-01, 'a: b']",
        "a.jpg": picture(),
        "a.txt": "\n".join(f"{number} 0.5 0.5 0.5 0.5" for number in range(5)),
    }
    assert list(inspected(files).boxes_per_class) == ["on", "1e3", "null", "2001-01-01", "a: b"]


def test_without_names_the_ids_are_the_names() -> None:
    files = {"a.jpg": picture(), "a.txt": "0 0.5 0.5 0.5 0.5\n12 0.5 0.5 0.5 0.5"}
    assert set(inspected(files).boxes_per_class) == {"0", "12"}


def test_each_of_two_datasets_has_its_own_names() -> None:
    files = {}
    for folder, name in (("one", "hot"), ("two", "cold")):
        files[f"{folder}/classes.txt"] = name
        files[f"{folder}/images/{folder}.jpg"] = picture()
        files[f"{folder}/labels/{folder}.txt"] = "0 0.5 0.5 0.5 0.5"
    assert {name: boxes[0][0] for name, boxes in boxes_in(inspected(files)).items()} == {
        "one/images/one.jpg": "hot",
        "two/images/two.jpg": "cold",
    }


def test_polygons_become_the_boxes_around_them_and_are_told() -> None:
    files = {
        "classes.txt": "normal",
        "a.jpg": picture(),
        "a.txt": "0 0.25 0.25 0.75 0.5 0.5 0.75\n0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n0 0.5 0.5 0.5 0.5",
    }
    inspection = inspected(files)
    assert boxes_in(inspection)["a.jpg"] == [BOX, ("normal", (6.4, 4.8, 12.8, 9.6)), BOX]
    (problem,) = inspection.problems
    assert (problem.file, problem.costs) == ("a.txt", "nothing")
    assert problem.detail == "Outlines that became the box around them: 2."


def test_shares_are_of_the_upright_image() -> None:
    turned = thermal_file(
        1, 48, 64, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    )
    files = {"classes.txt": "normal", "a.jpg": turned, "a.txt": "0 0.5 0.5 0.5 0.5"}
    assert boxes_in(inspected(files)) == {"a.jpg": [BOX]}


def test_an_empty_label_is_a_false_alarm_and_none_is_no_label() -> None:
    files = {"classes.txt": "normal", "a.jpg": picture(), "a.txt": "\n", "b.jpg": picture()}
    inspection = inspected(files)
    assert boxes_in(inspection) == {"a.jpg": []}
    assert told(inspection) == [("b.jpg", None, "image")]
    assert inspection.images_left_out == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.5", "4 fields"),
        ("0 0.5 0.5 0.5 0.5 0.9", "6 fields"),
        ("0 0.5 nan 0.5 0.5", "share of the image"),
        ("0 0.5 inf 0.5 0.5", "share of the image"),
        ("0 200 150 40 30", "share of the image"),
        ("0 0.5 0.5 0.5 x", "'x'"),
        ("0.5 0.5 0.5 0.5 0.5", "0.5 is no class id"),
        ("-1 0.5 0.5 0.5 0.5", "-1 is no class id"),
        ("7 0.5 0.5 0.5 0.5", "class 7 has no name"),
        ("normal 0.5 0.5 0.5 0.5", "'normal'"),
    ],
)
def test_a_bad_line_leaves_its_image_out_and_is_named(line: str, words: str) -> None:
    files = {
        "classes.txt": "normal",
        "a.jpg": picture(),
        "a.txt": f"0 0.5 0.5 0.5 0.5\n\n{line}\n{line}",
        "b.jpg": picture(),
        "b.txt": "0 0.5 0.5 0.5 0.5",
    }
    inspection = inspected(files, "yolo")
    assert list(boxes_in(inspection)) == ["b.jpg"]
    (problem,) = inspection.problems
    assert (problem.file, problem.place, problem.costs) == ("a.txt", "line 3", "image")
    assert words in problem.detail
    assert "Lines at fault in all: 2." in problem.detail


def test_what_does_not_belong_together_is_told() -> None:
    files = {
        "classes.txt": "normal",
        "README.dataset.txt": "My First Project > 2025",
        "images/a.jpg": b"\xff\xd8 no image",
        "labels/a.txt": "0 0.5 0.5 0.5 0.5",
        "images/b.jpg": picture(),
        "labels/c.txt": "0 0.5 0.5 0.5 0.5",
        "images/d.jpg": picture(),
        "labels/d.txt": b"0 0.5 0.5 0.5 \xff",
    }
    assert told(inspected(files)) == [
        ("images/a.jpg", None, "image"),
        ("labels/d.txt", None, "image"),
        ("labels/c.txt", None, "image"),
        ("images/b.jpg", None, "image"),
        ("README.dataset.txt", None, "nothing"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "names: [",
        "names: 3",
        "names: [[a], b]",
        "names: {first: a}",
        "a: &a [*a]\nnames: [a]",
        "names: [a]\n" + "#" * 300_000,
    ],
)
def test_class_names_that_cannot_be_read_are_refused(text: str) -> None:
    files = {"data.yaml": text, "a.jpg": picture(), "a.txt": "0 0.5 0.5 0.5 0.5"}
    with pytest.raises(InvalidRequest, match=r"data\.yaml"):
        inspected(files)


def test_a_yaml_bomb_costs_nothing() -> None:
    doubled = "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60))
    files = {
        "data.yaml": f"a0: &a0 {{k: v}}\n{doubled}\nnames: [normal]",
        "a.jpg": picture(),
        "a.txt": "0 0.5 0.5 0.5 0.5",
    }
    assert boxes_in(inspected(files)) == {"a.jpg": [BOX]}


def test_too_many_boxes_leave_the_image_out() -> None:
    files = {"classes.txt": "normal", "a.jpg": picture(), "a.txt": "0 0.5 0.5 0.5 0.5\n" * 1_001}
    inspection = inspected(files)
    assert boxes_in(inspection) == {}
    assert told(inspection) == [("a.txt", "line 1001", "image")]
