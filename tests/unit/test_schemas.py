"""The wire types: what is refused and by which name, and that each field explains itself."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from core import schemas
from core.schemas import Box, Detection, FeedbackImage, FineTuneRequest, Hyperparameters
from tests.factories import detection, image

PRODUCTION_CLIENT = {
    "images": [
        {
            "image_url": "https://images.example/inspection/1.jpg?sig=abc",
            "detections": [
                {"box": {"x_min": 100.5, "y_min": 80, "x_max": 220, "y_max": 190.25}, "class_id": 1}
            ],
        }
    ],
    "train_replay": 24,
    "epochs": 2,
    "batch_size": 4,
    "image_size": 320,
    "learning_rate": 1e-4,
    "weight_decay": 1e-4,
    "momentum": 0.937,
    "freeze": 10,
    "seed": 1337,
    "device": "cpu",
}


def payload(**changes: Any) -> dict[str, Any]:
    return {"images": [image("https://images.example/1.jpg")], **changes}


def faults(data: Any, model: type[BaseModel] = FineTuneRequest) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return [(error["loc"], error["msg"]) for error in caught.value.errors()]


def test_the_production_clients_payload_is_taken_as_it_is() -> None:
    request = FineTuneRequest.model_validate(PRODUCTION_CLIENT)
    assert request.images[0].detections[0].box.xyxy == (100.5, 80, 220, 190.25)
    assert request.hyperparameters.model_dump(include=set(PRODUCTION_CLIENT) - {"images"}) == {
        name: value for name, value in PRODUCTION_CLIENT.items() if name != "images"
    }
    assert FineTuneRequest.model_validate_json(json.dumps(PRODUCTION_CLIENT)) == request


def test_images_alone_are_enough() -> None:
    request = FineTuneRequest.model_validate(payload())
    assert (request.epochs, request.batch_size, request.image_size, request.freeze) == (8, 4, 640, 10)
    assert (request.learning_rate, request.momentum, request.seed) == (1e-4, 0.937, 1337)
    assert (request.promotion, request.dry_run, request.device) == ("no_regression", False, None)


def test_the_new_fields_are_taken() -> None:
    new = {
        "replay_strategy": "balanced",
        "optimizer": "SGD",
        "patience": 3,
        "time_budget_s": 600,
        "blend": 0.5,
        "promotion": "manual",
        "note": "after the storm",
        "dry_run": True,
    }
    posted = image("https://h.example/a", detection(class_id="normal"), sample_id="S-1", group="T7")
    request = FineTuneRequest.model_validate({"images": [posted], **new})
    assert request.model_dump(include=set(new)) == new
    assert (request.images[0].sample_id, request.images[0].group) == ("S-1", "T7")


def test_a_false_alarm_has_no_detections() -> None:
    taken = FeedbackImage.model_validate({"image_url": "https://h.example/a", "detections": []})
    assert taken.detections == []


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (payload(epoch=3), ("epoch",)),
        ({"images": [image("https://h.example/a", boxes=[])]}, ("images", 0, "boxes")),
        (
            {"images": [image("https://h.example/a", detection() | {"score": 0.9})]},
            ("images", 0, "detections", 0, "score"),
        ),
        (
            {
                "images": [
                    image("https://h.example/a", {"box": {**detection()["box"], "w": 1}, "class_id": 0})
                ]
            },
            ("images", 0, "detections", 0, "box", "w"),
        ),
    ],
)
def test_an_unknown_field_is_refused_by_name(data: dict[str, Any], where: tuple[int | str, ...]) -> None:
    assert faults(data) == [(where, "Extra inputs are not permitted")]


@pytest.mark.parametrize("missing", ["x_min", "y_min", "x_max", "y_max"])
def test_a_missing_corner_is_named(missing: str) -> None:
    corners = {name: value for name, value in detection()["box"].items() if name != missing}
    assert faults(corners, Box) == [((missing,), "Field required")]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["x_min", "y_min", "x_max", "y_max"])
def test_numbers_that_are_none_are_refused(field: str, value: float) -> None:
    corners = detection()["box"] | {field: value}
    assert faults(corners, Box) == [((field,), "Input should be a finite number")]
    # Python's own JSON reader lets these through.
    with pytest.raises(ValidationError):
        Box.model_validate(json.loads(json.dumps(corners)))


@pytest.mark.parametrize("field", ["learning_rate", "weight_decay", "momentum", "blend", "time_budget_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_hyperparameters_that_are_no_numbers_are_refused(field: str, value: float) -> None:
    assert [where for where, _ in faults(payload(**{field: value}))] == [(field,)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images", []),
        ("images", None),
        ("epochs", 0),
        ("epochs", 1_001),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("image_size", 100),
        ("image_size", 32),
        ("image_size", 4_096),
        ("learning_rate", 0),
        ("learning_rate", 1.1),
        ("weight_decay", -0.1),
        ("momentum", 1),
        ("freeze", -1),
        ("train_replay", -1),
        ("patience", -1),
        ("time_budget_s", 0),
        ("blend", 0),
        ("blend", 1.01),
        ("seed", -1),
        ("seed", 2**31),
        ("device", "cuda"),
        ("device", "0;rm"),
        ("device", "../cpu"),
        ("replay_strategy", "all"),
        ("optimizer", "auto"),
        ("promotion", "always"),
        ("note", "x" * 2_001),
        ("dry_run", "maybe"),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_field(field: str, value: Any) -> None:
    assert [where[0] for where, _ in faults(payload(**{field: value}))] == [field]


@pytest.mark.parametrize("device", ["auto", "cpu", "0", "0,1", "3,2,1"])
def test_devices(device: str) -> None:
    assert FineTuneRequest.model_validate(payload(device=device)).device == device


@pytest.mark.parametrize("classes", [{}, {"class_id": 0, "class_name": "normal"}])
def test_a_detection_has_one_class(classes: dict[str, Any]) -> None:
    ((_, message),) = faults({"box": detection()["box"], **classes}, Detection)
    assert "either class_id or class_name" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"image_url": ""},
        {"image_url": "https://h.example/" + "a" * 2_048},
        {"sample_id": "   "},
        {"group": "x" * 201},
        {"detections": None},
        {"detections": [detection()] * 1_001},
        {"detections": [detection(class_id=-1)]},
    ],
)
def test_an_image_out_of_bounds(changes: dict[str, Any]) -> None:
    where = [location[0] for location, _ in faults(image("https://h.example/a") | changes, FeedbackImage)]
    assert where == list(changes)


def test_all_faults_are_told_at_once() -> None:
    data = payload(epochs=0, seed=-1, unknown=1)
    assert {where[0] for where, _ in faults(data)} == {"epochs", "seed", "unknown"}


def test_too_many_images() -> None:
    data = {"images": [image("https://h.example/a")] * (schemas.MAX_IMAGES + 1)}
    assert faults(data)[0][0] == ("images",)


def test_an_inverted_box_is_left_to_intake() -> None:
    """So that it costs its image and not the batch."""
    assert Box.model_validate({"x_min": 9, "y_min": 9, "x_max": 1, "y_max": 1}).xyxy == (9, 9, 1, 1)


def test_the_hyperparameters_of_a_request_are_its_own() -> None:
    request = FineTuneRequest.model_validate(payload(epochs=3, seed=5))
    assert request.hyperparameters == Hyperparameters(epochs=3, seed=5)
    assert set(request.hyperparameters.model_dump()) == set(Hyperparameters.model_fields)


@pytest.mark.parametrize("model", [Box, Detection, FeedbackImage, Hyperparameters, FineTuneRequest])
def test_every_field_that_is_sent_explains_itself(model: type[BaseModel]) -> None:
    assert model.__doc__
    silent = [name for name, field in model.model_fields.items() if not field.description and name != "box"]
    assert silent == []


def test_every_number_that_is_sent_has_a_range() -> None:
    properties = Hyperparameters.model_json_schema()["properties"]
    open_ended = [
        name
        for name, field in properties.items()
        for kind in [*field.get("anyOf", []), field]
        if kind.get("type") in ("integer", "number")
        if not ({"minimum", "exclusiveMinimum"} & set(kind) and {"maximum", "exclusiveMaximum"} & set(kind))
    ]
    assert open_ended == []


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite, finite, finite)
def test_boxes_survive_json_to_the_last_digit(x_min: float, y_min: float, x_max: float, y_max: float) -> None:
    box = Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)
    assert Box.model_validate_json(box.model_dump_json()) == box
