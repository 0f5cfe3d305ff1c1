"""COCO JSON as the tools write it."""

import json
from typing import Any

import pytest

from core.errors import InvalidRequest
from tests.factories import thermal_file
from tests.unit.feedback.imports.archives import boxes_in, inspected, picture, told

EXIF_ON_ITS_SIDE = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def document(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """One image of 64 x 48 pixels, ids that are not contiguous, and the given annotations."""
    whole: dict[str, Any] = {
        "info": {},
        "licenses": [],
        "images": [{"id": 17, "file_name": "a.jpg", "width": 64, "height": 48}],
        "categories": [{"id": 3, "name": "hot"}, {"id": 90, "name": "cold"}],
        "annotations": list(annotations),
    }
    return whole | changes


def annotation(**changes: Any) -> dict[str, Any]:
    whole = {"id": 5, "image_id": 17, "category_id": 90, "bbox": [10, 20, 30, 5.5], "iscrowd": 0}
    return whole | changes


def files_of(whole: Any) -> dict[str, bytes | str]:
    return {"images/a.jpg": picture(), "annotations/instances_default.json": json.dumps(whole)}


BOX = ("cold", (10.0, 20.0, 40.0, 25.5))


def test_boxes_are_corner_and_size_and_ids_are_any() -> None:
    whole = document(annotation(), annotation(id=6, category_id=3, bbox=[0, 0, 64, 48]))
    inspection = inspected(files_of(whole))
    assert inspection.format_name == "coco"
    assert boxes_in(inspection) == {"images/a.jpg": [BOX, ("hot", (0, 0, 64, 48))]}
    assert inspection.problems == ()


ROBOFLOW = """{"info":{"year":"2025","version":"1","description":"Exported from roboflow.com",
"contributor":"","url":"https://public.roboflow.com/object-detection/undefined","date_created":"2025-10-01T11:51:40+00:00"},
"licenses":[{"id":1,"url":"https://creativecommons.org/licenses/by/4.0/","name":"CC BY 4.0"}],
"categories":[{"id":0,"name":"faults","supercategory":"none"},{"id":1,"name":"cold","supercategory":"faults"}],
"images":[{"id":0,"license":1,"file_name":"T1_jpg.rf.1b.jpg","height":48,"width":64,
"date_captured":"2025-10-01T11:51:40+00:00","extra":{"name":"T1.jpg"}}],
"annotations":[{"id":0,"image_id":0,"category_id":1,"bbox":[10,20,30,5.5],"area":165,"segmentation":[],
"iscrowd":0}]}"""


def test_the_export_of_roboflow_with_images_of_the_same_name_in_two_splits() -> None:
    files = {
        "train/T1_jpg.rf.1b.jpg": picture(1),
        "train/_annotations.coco.json": ROBOFLOW,
        "valid/T1_jpg.rf.1b.jpg": picture(2),
        "valid/_annotations.coco.json": ROBOFLOW.replace('"bbox":[10,', '"bbox":[0,'),
    }
    inspection = inspected(files)
    assert boxes_in(inspection) == {
        "train/T1_jpg.rf.1b.jpg": [BOX],
        "valid/T1_jpg.rf.1b.jpg": [("cold", (0.0, 20.0, 30.0, 25.5))],
    }
    assert dict(inspection.boxes_per_class) == {"cold": 2}


@pytest.mark.parametrize("file_name", ["images\\a.jpg", "../../images/a.jpg", "/data/batch 1/a.jpg", "A.JPG"])
def test_an_image_is_found_whatever_folder_the_tool_names(file_name: str) -> None:
    whole = document(annotation(), images=[{"id": 17, "file_name": file_name}])
    assert boxes_in(inspected(files_of(whole))) == {"images/a.jpg": [BOX]}


def test_an_image_without_annotations_is_one_without_boxes_and_one_that_is_not_listed_has_no_label() -> None:
    files = files_of(document()) | {"images/b.jpg": picture()}
    inspection = inspected(files)
    assert boxes_in(inspection) == {"images/a.jpg": []}
    assert told(inspection) == [("images/b.jpg", None, "image")]


def test_an_outline_stands_in_for_a_missing_box() -> None:
    outline = [[10, 20, 40, 20, 40, 25.5], [12, 21, 13, 22, 12, 22]]
    for bbox in (None, []):
        inspection = inspected(files_of(document(annotation(bbox=bbox, segmentation=outline))))
        assert boxes_in(inspection) == {"images/a.jpg": [BOX]}
        assert inspection.problems[0].detail == "Outlines that became the box around them: 1."


def test_a_crowd_is_left_out_and_told() -> None:
    crowd = annotation(iscrowd=1, segmentation={"counts": [272, 2], "size": [48, 64]})
    inspection = inspected(files_of(document(annotation(), crowd)))
    assert boxes_in(inspection) == {"images/a.jpg": [BOX]}
    assert told(inspection) == [("annotations/instances_default.json", "annotation 2", "box")]


def test_the_group_is_kept() -> None:
    whole = document(images=[{"id": 17, "file_name": "a.jpg", "group": "T7"}])
    assert inspected(files_of(whole)).files[0].group == "T7"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (annotation(category_id=4), "no category has the id 4"),
        (annotation(bbox=[10, 20, 30]), "Field required"),
        (annotation(bbox=[10, 20, 30, "wide"]), "valid number"),
        (annotation(bbox={"x": 1}), "tuple"),
        (annotation(bbox=None, segmentation=None), "list"),
        (annotation(bbox=None, segmentation=[]), "no corner"),
        (annotation(bbox=None, segmentation=[[1, 2, 3]]), "shorter"),
        (annotation(bbox=None, segmentation={"counts": "PYo3", "size": [48, 64]}), "mask and no bbox"),
    ],
)
def test_an_annotation_that_cannot_be_read_leaves_its_image_out(wrong: dict[str, Any], words: str) -> None:
    inspection = inspected(files_of(document(annotation(), wrong)))
    assert boxes_in(inspection) == {}
    (problem,) = inspection.problems
    assert (problem.place, problem.costs) == ("annotation 2", "image")
    assert words in problem.detail


def test_rows_that_are_none_are_told_by_their_place() -> None:
    whole = document(
        annotation(),
        {"id": 3},
        annotation(image_id=99),
        images=[
            *document()["images"],
            3,
            {"id": 4, "file_name": "gone.jpg"},
            {"id": [], "file_name": "a.jpg"},
        ],
        categories=[*document()["categories"], None],
    )
    inspection = inspected(files_of(whole))
    assert boxes_in(inspection) == {"images/a.jpg": [BOX]}
    places = [(problem.place, problem.costs) for problem in inspection.problems]
    assert places == [
        ("category 3", "nothing"),
        ("annotation 2", "box"),
        ("image 2", "image"),
        ("image 3", "image"),
        ("image 4", "image"),
        ("annotation 3", "box"),
    ]


@pytest.mark.parametrize("bbox", [[1e308, 0, 1e308, 5], [0, -1e200, 5, 5]])
def test_a_box_beyond_all_numbers_leaves_its_image_out(bbox: list[float]) -> None:
    inspection = inspected(files_of(document(annotation(bbox=bbox))))
    assert boxes_in(inspection) == {}
    assert told(inspection) == [("images/a.jpg", None, "image")]


@pytest.mark.parametrize("size", [(48, 64), (128, 96)])
def test_an_annotation_of_another_image_is_not_attached_to_this_one(size: tuple[int, int]) -> None:
    images = [{"id": 17, "file_name": "a.jpg", "width": size[0], "height": size[1]}]
    inspection = inspected(files_of(document(annotation(), images=images)))
    assert boxes_in(inspection) == {}
    assert f"{size[0]} x {size[1]} px" in inspection.problems[0].detail
    assert "64 x 48 px" in inspection.problems[0].detail


def test_sizes_are_of_the_upright_image() -> None:
    files = files_of(document(annotation())) | {
        "images/a.jpg": thermal_file(1, 48, 64, "JPEG", exif=EXIF_ON_ITS_SIDE)
    }
    assert boxes_in(inspected(files)) == {"images/a.jpg": [BOX]}


@pytest.mark.parametrize(
    "text",
    [
        '{"images": 3, "annotations": []}',
        '{"images": [], "annotations": {}}',
        '{"images": [], "annotations": []}',
        '{"images": [], "annotations": [NaN], "categories": []}',
        '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "\\ud800"}]}',
        '{"images": [',
        "[" * 100_000,
        "",
    ],
)
def test_what_is_no_coco_file_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"x\.json"):
        inspected({"x.json": text, "a.jpg": picture()}, "coco")
