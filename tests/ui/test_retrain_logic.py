"""The Retrain screen without a browser: what it says, and what its button hands in."""

import json
import shlex
from typing import Any

import pytest
import sqlalchemy as sa
import streamlit as st
from hypothesis import given
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from core.config import Settings, get_settings
from core.presets import PRESETS
from core.schemas import RetrainRequest
from core.store import Store
from core.store.run_views import list_runs
from core.store.tables import Batch, Run, Sample
from pages._ui import retrain_code, retrain_outlook
from tests.factories import CLASS_NAMES, write_base_set
from tests.samples import add_batch
from tests.ui import review_states, states
from tests.ui.conftest import Screen, words_of

CHANGES: dict[str, Any] = {
    "epochs": 5,
    "batch_size": 2,
    "image_size": 320,
    "learning_rate": 0.0002,
    "weight_decay": 0.0005,
    "momentum": 0.9,
    "freeze": 3,
    "train_replay": 4,
    "replay_strategy": "balanced",
    "optimizer": "SGD",
    "patience": 2,
    "time_budget_s": 90.5,
    "blend": 0.75,
    "seed": 7,
    "device": "cpu",
    "promotion": "manual",
    "note": 'it\'s "January", all of it',
}


@pytest.fixture
def base(store: Store) -> Store:
    """A store with a base set and a champion that knows its classes."""
    write_base_set(store.settings.base_set_root)
    review_states.add_champion(store)
    return store


@pytest.fixture
def approved(base: Store) -> Store:
    """And with three approved samples, all of them of one class."""
    batch_id = add_batch(base)
    for seed in range(3):
        review_states.add_image(base, batch_id, seed, status="approved")
    return base


def set_to(app: AppTest, name: str, value: Any) -> AppTest:
    """Choose a value in the form."""
    kinds = ("slider", "number_input", "selectbox", "text_input")
    (control,) = [one for kind in kinds for one in app.get(kind) if one.key == f"retrain_{name}"]
    return control.set_value(value).run()


def shown(app: AppTest) -> dict[str, Any]:
    """What the form shows, by field."""
    kinds = ("slider", "number_input", "selectbox", "text_input")
    controls = [one for kind in kinds for one in app.get(kind)]
    return {str(one.key).removeprefix("retrain_"): one.value for one in controls}


def start(app: AppTest) -> AppTest:
    return app.button(key="retrain_start").click().run()


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def by_class(app: AppTest) -> dict[str, list[str]]:
    return {row[0].replace("*", ""): list(row[1:]) for row in app.table[0].value.to_numpy().tolist()}


# The form


def test_form_opens_with_the_defaults_of_the_schema(approved: Store, show: Screen) -> None:
    app = show("retrain")
    assert not app.exception
    assert app.radio(key="retrain_preset").value == "balanced"
    assert shown(app) == RetrainRequest().model_dump(exclude={"dry_run"}) | {"note": "", "device": ""}
    assert "Changed from" not in words_of(app)


@pytest.mark.parametrize("name", list(PRESETS))
def test_preset_fills_the_form_and_keeps_note_and_promotion(approved: Store, show: Screen, name: Any) -> None:
    app = show("retrain", note="mine", promotion="manual", epochs="77")
    app.radio(key="retrain_preset").set_value("thorough" if name == "balanced" else "balanced").run()
    app.radio(key="retrain_preset").set_value(name).run()
    expected = PRESETS[name].hyperparameters.model_dump() | {"note": "mine", "promotion": "manual"}
    assert shown(app) == expected | {"device": ""}
    assert "Changed from" not in words_of(app)


def test_changed_field_is_told_until_it_is_what_it_was(approved: Store, show: Screen) -> None:
    app = set_to(show("retrain"), "epochs", 20)
    assert "Changed from **Balanced**: epochs 8 → 20" in words_of(app)
    app = set_to(app, "learning_rate", 0.00005)
    assert "epochs 8 → 20; learning rate 0.0001 → 5e-05" in words_of(app)
    app = set_to(set_to(app, "epochs", 8), "learning_rate", 0.0001)
    assert "Changed from" not in words_of(app)
    app = set_to(app, "replay_strategy", "none")
    next(button for button in app.button if button.label == "Take back").click().run()
    assert app.selectbox(key="retrain_replay_strategy").value == "stream"
    assert "Changed from" not in words_of(app)


def test_address_holds_the_form(approved: Store, show: Screen) -> None:
    app = set_to(show("retrain", preset="quick", freeze="3"), "epochs", 4)
    assert dict(app.query_params) == {"preset": "quick", "epochs": "4", "freeze": "3"}
    assert "Changed from **Quick touch-up**" in words_of(app)
    app.radio(key="retrain_preset").set_value("balanced").run()
    assert not app.query_params


def test_form_is_kept_while_another_screen_is_looked_at(approved: Store, show: Screen) -> None:
    app = set_to(show("retrain"), "epochs", 20)
    app.switch_page("pages/review.py").run()
    app.query_params.clear()
    app.switch_page("pages/retrain.py").run()
    assert app.number_input(key="retrain_epochs").value == 20
    assert app.query_params["epochs"] == "20"


def test_nonsense_in_the_address_is_passed_over(approved: Store, show: Screen) -> None:
    app = show("retrain", preset="huge", epochs="0", image_size="650", optimizer="magic", seed="5")
    assert not app.exception
    assert shown(app) | {"seed": 1337} == shown(show("retrain")) | {"seed": 1337}
    assert app.number_input(key="retrain_seed").value == 5


def test_text_that_is_no_device_is_refused_and_changes_nothing(approved: Store, show: Screen) -> None:
    app = set_to(show("retrain"), "device", "gpu please")
    assert "'gpu please' is not possible here" in words_of(app)
    assert app.text_input(key="retrain_device").value == ""
    assert not app.query_params
    assert "is not possible" not in words_of(set_to(app, "device", "0,1"))


# What goes in


def test_composition_and_figures_follow_the_form(approved: Store, show: Screen) -> None:
    app = show("retrain")
    assert figures(app) == {
        "Feedback images": "3", "Replay images": "0", "Epochs": "8", "Expected time": "unknown",
    }  # fmt: skip
    assert by_class(app)["hot joint"] == ["3", "0", "2"]
    app = set_to(set_to(app, "train_replay", 6), "epochs", 2)
    assert by_class(app) == {
        **{name: ["3" if name == "hot joint" else "0", "2", "2"] for name in CLASS_NAMES},
        "All boxes": ["**3**", "**6**", "**6**"],
        "Images": ["**3**", "**6**", "**6**"],
    }
    assert (figures(app)["Replay images"], figures(app)["Epochs"]) == ("6", "2")
    assert "Learns 2 epochs of 3 feedback images and 6 replayed images" in words_of(app)
    app = set_to(app, "replay_strategy", "none")
    assert by_class(app)["Images"] == ["**3**", "**0**", "**6**"]


def test_warnings_come_with_their_reason_and_go(approved: Store, show: Screen) -> None:
    app = show("retrain")
    said = app.warning[0].value.replace("\\", "")
    assert "hot joint has 3" in said
    assert "No base image is replayed: what the detector knew may be forgotten" in said
    app = set_to(set_to(app, "train_replay", 6), "learning_rate", 0.5)
    said = app.warning[0].value.replace("\\", "")
    assert "No base image is replayed" not in said
    assert "The learning rate 0.5 is outside the usual" in said


def test_time_is_told_by_the_pace_of_earlier_runs(approved: Store, show: Screen) -> None:
    assert "No run has ended well on this host yet" in words_of(show("retrain"))
    champion_id = review_states.add_champion(approved)
    states.succeed_run(approved, champion_id, promoted=False)
    app = show("retrain")
    assert figures(app)["Expected time"].endswith("s")
    assert "No run has ended well" not in words_of(app)


def test_busy_queue_says_the_place(approved: Store, show: Screen) -> None:
    assert "The queue is empty" in words_of(show("retrain"))
    states.add_worker(approved)
    states.train_run(approved)
    states.queue_run(approved)
    assert "Place 2 in the queue, 1 run at work; how long they take is not known yet." in words_of(
        show("retrain")
    )


# Start


@pytest.mark.usefixtures("address")
def test_start_hands_in_exactly_what_the_form_shows(approved: Store, show: Screen) -> None:
    app = show("retrain")
    for name, value in CHANGES.items():
        app = set_to(app, name, value)
        assert not app.exception
    assert shown(app) == CHANGES
    assert set(CHANGES) == set(RetrainRequest.model_fields) - {"dry_run"}
    app = start(app)
    assert not app.exception
    (run,) = list_runs(approved)
    assert (run.status, run.source, run.actor, run.learns_from) == (
        "queued",
        "dashboard",
        "local",
        "approved",
    )
    with approved.database.read() as session:
        row = session.get_one(Run, run.id)
    asked = RetrainRequest.model_validate({name: row.request[name] for name in CHANGES if name != "note"})
    assert asked.model_copy(update={"note": row.note}) == RetrainRequest(**CHANGES)
    assert "it is being opened" in words_of(app)
    assert "Start fine-tune" not in [button.label for button in app.button]


def test_second_start_is_another_run_and_a_click_that_comes_twice_is_not(
    approved: Store, show: Screen
) -> None:
    start(show("retrain"))
    start(show("retrain"))
    assert len(list_runs(approved)) == 2
    st.query_params.clear()
    for _ in range(2):
        retrain_outlook.start(approved, "the ticket of one drawn button")
    assert len(list_runs(approved)) == 3


def test_start_is_disabled_with_the_reason_while_nothing_is_approved(base: Store, show: Screen) -> None:
    review_states.add_image(base, add_batch(base), 1)
    app = show("retrain")
    button = app.button(key="retrain_start")
    assert button.disabled
    assert "Nothing is approved" in button.help
    assert not app.warning
    (link,) = app.get("page_link")
    assert (link.proto.label, link.proto.query_string) == ("Review what waits: 1 image", "status=pending")


def test_what_was_rejected_meanwhile_is_not_started(approved: Store, show: Screen) -> None:
    app = show("retrain")
    with approved.database.write() as session:
        session.execute(sa.update(Sample).values(status="rejected"))
    app = start(app)
    assert "Nothing was approved" in app.toast[0].value
    assert app.button(key="retrain_start").disabled
    assert list_runs(approved) == []


# Empty states


def test_demo_that_is_not_drawn_yet_offers_its_feedback(store: Store, show: Screen) -> None:
    app = show("retrain")
    assert "The demo is not drawn yet" in words_of(app)
    assert app.button(key="retrain_start").disabled
    collect = next(button for button in app.button if button.label == "Bring in the demo feedback")
    collect.click().run()
    next(button for button in app.button if button.label == "Bring in the demo feedback").click().run()
    with store.database.read() as session:
        (batch,) = session.scalars(sa.select(Batch))
    assert (batch.note, batch.is_trusted) == ("demo feedback", False)


def test_missing_base_set_says_what_to_set(
    store: Store, show: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMS_ANNOTATED_DATASET_ROOT", str(store.settings.home / "nowhere"))
    get_settings.cache_clear()
    app = show("retrain")
    assert "TMS_ANNOTATED_DATASET_ROOT" in app.error[0].value.replace("\\", "")
    assert app.button(key="retrain_start").disabled
    assert not app.exception


# By script

requests = some.builds(
    RetrainRequest,
    epochs=some.integers(1, 1000),
    learning_rate=some.floats(1e-9, 1),
    time_budget_s=some.none() | some.floats(0.1, 604_800),
    replay_strategy=some.sampled_from(["stream", "balanced", "random", "none"]),
    device=some.none() | some.sampled_from(["cpu", "0,1"]),
    note=some.none() | some.text(max_size=60).filter(lambda text: "\0" not in text),
)


@given(requests)
def test_shown_json_is_the_request(asked: RetrainRequest) -> None:
    line = retrain_code.curl(Settings(_env_file=None), asked)
    program, option, body, address = shlex.split(line)
    assert (program, option, address) == ("curl", "--json", "http://127.0.0.1:8002/api/retrain")
    assert RetrainRequest.model_validate_json(body) == asked
    defaults = RetrainRequest().model_dump(mode="json")
    assert all(value != defaults[name] for name, value in json.loads(body).items())


@given(requests)
def test_shown_python_is_the_request(asked: RetrainRequest) -> None:
    built: dict[str, Any] = {}
    exec(retrain_code.python(asked).split("with Store")[0], built)
    assert built["request"] == asked


def test_shown_python_starts_the_run(approved: Store, capsys: pytest.CaptureFixture[str]) -> None:
    exec(retrain_code.python(RetrainRequest(epochs=4, note="by script")), {})
    (run,) = list_runs(approved)
    assert (run.id, run.note, run.source) == (capsys.readouterr().out.strip(), "by script", "python")


def test_script_on_the_screen_follows_the_form(approved: Store, show: Screen) -> None:
    app = set_to(show("retrain"), "epochs", 20)
    by_curl, by_python = (block.value for block in app.code)
    assert '{"epochs": 20}' in by_curl
    assert "RetrainRequest(epochs=20)" in by_python
