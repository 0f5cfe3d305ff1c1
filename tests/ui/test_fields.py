"""Controls drawn from a schema: label, range, help and step come from the wire type alone."""

import math

import pytest

from core.schemas import RetrainRequest
from pages._ui import fields, retrain_draft, retrain_form

SCHEMAS = fields.fields_of(RetrainRequest)


def test_every_field_of_a_request_has_its_place_in_the_form() -> None:
    shown = [name for names in retrain_form.GROUPS.values() for name in names] + list(retrain_form.RARE)
    assert sorted(shown) == sorted(retrain_draft.FIELDS)
    assert set(RetrainRequest.model_fields) - set(shown) == {"dry_run"}


@pytest.mark.parametrize(
    ("name", "label", "said"),
    [
        ("epochs", "Epochs", "Range: at least 1, at most 1,000."),
        ("image_size", "Image size (px)", "Range: at least 64, at most 2,048."),
        ("learning_rate", "Learning rate", "Range: above 0, at most 1."),
        ("momentum", "Momentum", "Range: at least 0, below 1."),
        ("time_budget_s", "Time budget (s)", "Range: above 0, at most 604,800."),
        ("train_replay", "Replay in each epoch (images)", "Images of the replay pool mixed into each epoch"),
    ],
)
def test_label_has_the_unit_and_help_the_range(name: str, label: str, said: str) -> None:
    assert fields.label_of(SCHEMAS[name]) == label
    assert said in fields.help_of(SCHEMAS[name])
    assert fields.help_of(SCHEMAS[name]).startswith(SCHEMAS[name]["description"])


def test_open_ends_are_left_out_and_closed_ones_are_not() -> None:
    lowest, highest = fields._closed(SCHEMAS["learning_rate"])
    assert (0 < lowest < 1e-300, highest) == (True, 1.0)
    assert fields._closed(SCHEMAS["momentum"]) == (0.0, math.nextafter(1, 0))
    assert fields._closed(SCHEMAS["epochs"]) == (1, 1_000)


def test_steps_suit_the_usual_value() -> None:
    steps = {
        name: fields._step(SCHEMAS[name]) for name in ("image_size", "learning_rate", "momentum", "seed")
    }
    assert steps == {"image_size": 32, "learning_rate": pytest.approx(1e-5), "momentum": 0.01, "seed": 1}
