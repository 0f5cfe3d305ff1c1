"""Label Studio's JSON export, as it writes it."""

import json
import math
from typing import Any

import pytest

from core.errors import InvalidRequest
from tests.unit.feedback.imports.archives import boxes_in, inspected, picture, told

# As Label Studio 1.x exports a task, shortened by what is of no use here.
EXPORT = """
[{"id": 11, "annotations": [{"id": 21, "completed_by": 1, "result": [
    {"original_width": 64, "original_height": 48, "image_rotation": 0,
     "value": {"x": 25, "y": 25, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["cold joint"]},
     "id": "hVxyTgmkTZ", "from_name": "label", "to_name": "image", "type": "rectanglelabels",
     "origin": "manual"}],
    "was_cancelled": false, "ground_truth": false, "created_at": "2025-10-01T11:51:40.120Z",
    "updated_at": "2025-10-01T11:52:01.001Z", "draft_created_at": null, "lead_time": 20.9, "prediction": {},
    "result_count": 1, "unique_id": "4b0f", "task": 11, "project": 2, "parent_prediction": null}],
  "file_upload": "0f3b2c1d-T1.jpg", "drafts": [], "predictions": [],
  "data": {"image": "/data/upload/2/0f3b2c1d-T1.jpg"}, "meta": {}, "created_at": "2025-10-01T11:50:00Z",
  "inner_id": 1, "total_annotations": 1, "cancelled_annotations": 0, "project": 2, "updated_by": 1}]
"""
BOX = ("cold joint", (16.0, 12.0, 48.0, 36.0))


def region(kind: str = "rectanglelabels", identity: str = "r1", **value: Any) -> dict[str, Any]:
    shape = {"x": 25, "y": 25, "width": 50, "height": 50, "rotation": 0} if kind == "rectanglelabels" else {}
    labels = {kind: ["cold joint"]} if kind.endswith("labels") else {}
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    return {"id": identity, "type": kind, "value": shape | labels | value, **size}


def task(*regions: Any, image: Any = "/data/upload/2/0f3b2c1d-T1.jpg", **changes: Any) -> dict[str, Any]:
    return {"id": 11, "annotations": [{"result": list(regions)}], "data": {"image": image}} | changes


def files_of(*tasks: Any, name: str = "T1.jpg") -> dict[str, bytes | str]:
    return {"project-2-at-2025.json": json.dumps(list(tasks)), f"images/{name}": picture()}


def test_the_export_as_it_is() -> None:
    inspection = inspected({"project-2-at-2025.json": EXPORT, "0f3b2c1d-T1.jpg": picture()})
    assert inspection.format_name == "label_studio"
    assert boxes_in(inspection) == {"0f3b2c1d-T1.jpg": [BOX]}
    assert inspection.problems == ()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/2/0f3b2c1d-T1.jpg", "0f3b2c1d-T1.jpg"),
        ("/data/upload/2/0f3b2c1d-T1.jpg", "T1.jpg"),
        ("/data/upload/2/0f3b2c1d-T1%20(2).jpg", "T1 (2).jpg"),
        ("s3://plant/2025/T1.jpg", "T1.jpg"),
        ("gs://plant/T1.jpg", "T1.jpg"),
        ("/data/local-files/?d=plant%2F2025%2FT1.jpg", "T1.jpg"),
        ("https://plant.example/T1.jpg?X-Amz-Signature=SECRET", "T1.jpg"),
        ("T1.jpg", "T1.jpg"),
    ],
)
def test_the_image_is_found_by_what_the_task_calls_it(address: str, name: str) -> None:
    assert boxes_in(inspected(files_of(task(region(), image=address), name=name))) == {
        f"images/{name}": [BOX]
    }


def test_the_key_of_the_image_is_up_to_the_project() -> None:
    renamed = task(
        region(), data={"comment": "see T1", "frame": "/data/upload/2/0f3b2c1d-T1.jpg", "group": "T1"}
    )
    inspection = inspected(files_of(renamed))
    assert boxes_in(inspection) == {"images/T1.jpg": [BOX]}
    assert inspection.files[0].group == "T1"


def test_turning_the_view_changes_no_number() -> None:
    assert boxes_in(inspected(files_of(task(region() | {"image_rotation": 90})))) == {"images/T1.jpg": [BOX]}


def test_percentages_fit_an_image_of_another_size_but_not_of_another_shape() -> None:
    scaled = region() | {"original_width": 640, "original_height": 479}
    assert boxes_in(inspected(files_of(task(scaled)))) == {"images/T1.jpg": [BOX]}
    on_its_side = region() | {"original_width": 48, "original_height": 64}
    inspection = inspected(files_of(task(on_its_side)))
    assert boxes_in(inspection) == {}
    assert told(inspection) == [("images/T1.jpg", None, "image")]


def test_a_turned_box_turns_about_its_upper_left_corner() -> None:
    turned = region(x=50, y=50, width=25, height=25, rotation=90)
    inspection = inspected(files_of(task(turned)))
    assert boxes_in(inspection) == {"images/T1.jpg": [("cold joint", (20.0, 24.0, 32.0, 40.0))]}
    assert inspection.problems[0].detail.startswith("Turned boxes")


def test_outlines_become_the_boxes_around_them() -> None:
    ellipse = region("ellipselabels", "e", x=50, y=50, radiusX=25, radiusY=12.5, rotation=90)
    polygon = region("polygonlabels", "p", points=[[25, 25], [75, 25], [50, 75]])
    inspection = inspected(files_of(task(ellipse, polygon)))
    assert boxes_in(inspection)["images/T1.jpg"] == [("cold joint", (26.0, 8.0, 38.0, 40.0)), BOX]
    assert inspection.problems[0].detail == "Outlines that became the box around them: 2."


def test_an_ellipse_that_is_askew() -> None:
    ellipse = region("ellipselabels", x=50, y=50, radiusX=25, radiusY=100 / 3, rotation=45)
    ((_, xyxy),) = boxes_in(inspected(files_of(task(ellipse))))["images/T1.jpg"]
    # Both radii are 16 px: however it is turned, a circle stays one.
    assert xyxy == (16.0, 8.0, 48.0, 40.0)
    assert math.isclose(xyxy[2] - xyxy[0], 32.0)


@pytest.mark.parametrize(
    "results",
    [
        [region("rectangle", x=25, y=25, width=50, height=50), region("labels")],
        [
            region("labels", x=25, y=25, width=50, height=50),
            region("rectangle", x=25, y=25, width=50, height=50),
        ],
        [
            region("rectangle", x=25, y=25, width=50, height=50),
            region("choices", x=25, y=25, width=50, height=50, choices=["cold joint"]),
        ],
    ],
)
def test_shape_and_label_may_come_as_two_results(results: list[dict[str, Any]]) -> None:
    assert boxes_in(inspected(files_of(task(*results)))) == {"images/T1.jpg": [BOX]}


def test_a_label_outweighs_what_else_was_chosen_for_the_region() -> None:
    severity = region("choices", x=25, y=25, width=50, height=50, choices=["severe"])
    assert boxes_in(inspected(files_of(task(region(), severity)))) == {"images/T1.jpg": [BOX]}


def test_a_region_with_two_labels_is_a_box_of_each() -> None:
    both = region(rectanglelabels=["cold joint", "hot"])
    assert boxes_in(inspected(files_of(task(both)))) == {"images/T1.jpg": [BOX, ("hot", BOX[1])]}


def annotation(x: float, **changes: Any) -> dict[str, Any]:
    return {"result": [region(x=x)], **changes}


@pytest.mark.parametrize(
    ("others", "x"),
    [
        ([annotation(0, was_cancelled=True, updated_at="2025-12-01")], 25),
        ([annotation(0, updated_at="2025-09-30T00:00:00Z")], 25),
        ([annotation(0, updated_at="2025-11-30T00:00:00Z")], 0),
        ([annotation(0, ground_truth=True, updated_at="2025-09-30T00:00:00Z")], 0),
    ],
)
def test_of_several_annotations_the_newest_or_the_ground_truth_counts(others: list[Any], x: float) -> None:
    kept = annotation(25, updated_at="2025-10-01T00:00:00Z")
    inspection = inspected(files_of(task(annotations=[*others, kept])))
    ((_, xyxy),) = boxes_in(inspection)["images/T1.jpg"]
    assert xyxy[0] == x / 100 * 64


def test_annotations_that_were_passed_over_are_told() -> None:
    inspection = inspected(files_of(task(annotations=[annotation(0), annotation(25)])))
    assert [problem.detail for problem in inspection.problems] == [
        "Annotations that were passed over for a newer one, or a ground truth, of their task: 1."
    ]


def test_an_empty_annotation_is_a_false_alarm_and_a_task_without_one_is_not() -> None:
    empty, missing = task(), task(id=12, annotations=[], image="/data/upload/2/0f3b2c1d-T2.jpg")
    cancelled = task(id=13, annotations=[annotation(0, was_cancelled=True)], image="T3.jpg")
    files = files_of(empty, missing, cancelled) | {"T2.jpg": picture(), "T3.jpg": picture()}
    inspection = inspected(files)
    assert boxes_in(inspection) == {"images/T1.jpg": []}
    assert told(inspection) == [
        ("project-2-at-2025.json", "task 12", "image"),
        ("project-2-at-2025.json", "task 13", "image"),
    ]


def test_completions_of_old_versions_are_read() -> None:
    old = task()
    del old["annotations"]
    assert boxes_in(inspected(files_of(old | {"completions": [annotation(25)]}))) == {"images/T1.jpg": [BOX]}


def test_shapes_without_a_box_are_told_and_other_results_counted() -> None:
    point = region("keypointlabels", "k", x=1, y=1, width=0.5)
    quality = {"id": "c", "type": "choices", "value": {"choices": ["blurred"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    inspection = inspected(files_of(task(region(), point, quality, relation)))
    assert boxes_in(inspection) == {"images/T1.jpg": [BOX]}
    assert [(problem.place, problem.costs) for problem in inspection.problems] == [
        ("task 11", "box"),
        (None, "nothing"),
    ]
    assert inspection.problems[1].detail == "Results that are no shapes, such as choices and texts: 2."


@pytest.mark.parametrize(
    "wrong",
    [
        region("brushlabels", format="rle", rle=[0, 1]),
        region(rectanglelabels=[]),
        region(x="left"),
        region(width=None),
        region("polygonlabels", points=[]),
        region("polygonlabels", points=[[1]]),
        region("ellipselabels", x=1, y=1, radiusX=2),
    ],
)
def test_a_shape_that_cannot_be_read_leaves_its_image_out(wrong: dict[str, Any]) -> None:
    inspection = inspected(files_of(task(region(identity="first"), wrong)))
    assert boxes_in(inspection) == {}
    assert told(inspection) == [("project-2-at-2025.json", "task 11", "image")]


@pytest.mark.parametrize("image", [["a.jpg", "b.jpg"], None, 3, "no image", "http://["])
def test_a_task_that_names_no_single_image_is_told(image: Any) -> None:
    inspection = inspected(files_of(task(region(), image=image)))
    assert ("project-2-at-2025.json", "task 11", "image") in told(inspection)
    assert boxes_in(inspection) == {}


def test_tasks_and_results_that_are_none_are_told() -> None:
    inspection = inspected(files_of(task(region(), 3), None, {"id": 1}, task(annotations=[7])))
    assert boxes_in(inspection) == {"images/T1.jpg": [BOX]}
    assert [problem.place for problem in inspection.problems] == [
        "task 11, region 2",
        "task 2",
        "task 3",
        "task 11, annotation 1",
        "task 11",
    ]


def test_a_missing_image_is_told_by_the_name_in_the_task() -> None:
    files = files_of(task(region(), image="/data/upload/2/0f3b2c1d-T9.jpg"))
    problem = inspected(files).problems[0]
    assert "/data/upload/2/0f3b2c1d-T9.jpg is not in the archive" in problem.detail


def test_the_short_export_is_no_task_list() -> None:
    with pytest.raises(InvalidRequest, match="No labels were found"):
        inspected(files_of({"image": "/data/upload/2/T1.jpg", "label": []}))
