"""What a viewer asks of a run, and what comes of it in the store."""

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from core.store import Store, runs
from core.store.run_views import get_run, list_runs
from tests.ui import states
from tests.ui.conftest import Screen, words_of

EVA = {"is_logged_in": True, "email": "eva@grid.example"}


@pytest.fixture
def champion_id(store: Store) -> str:
    baseline = states.add_checkpoint(store)
    states.promote(store, baseline)
    return baseline


def test_stop_of_a_training_run_is_asked_for_once(store: Store, show: Screen) -> None:
    run_id = states.train_run(store)
    app = show("runs", run=run_id, user=EVA)
    app.button(key="stop").click().run()
    row = runs.get_row(store, run_id)
    assert (row.status, row.wanted, row.wanted_by) == ("training", "stop", "eva@grid.example")
    assert "Stopping after this batch, then its best weights are judged" in words_of(app)
    assert app.button(key="stop").disabled


def test_cancel_names_what_is_lost_and_outweighs_a_stop(store: Store, show: Screen) -> None:
    run_id = states.train_run(store, epochs_done=2)
    app = show("runs", run=run_id)
    app.button(key="stop").click().run()
    said = words_of(app)
    assert "Everything it made is discarded: the weights of 2 epochs, for good" in said
    assert "Its feedback and its record with curves and log stay" in said
    app.button(key="cancel_for_sure").click().run()
    assert get_run(store, run_id).wanted == "cancel"
    assert "Cancelling after this batch, then everything it made is discarded" in words_of(app)
    assert _cancel_is_disabled(app)


def _cancel_is_disabled(app: AppTest) -> bool:
    (popover,) = app.get("popover")
    return bool(popover.proto.popover.disabled)


def test_cancel_of_a_queued_run_ends_it_at_once(store: Store, show: Screen) -> None:
    run_id = states.queue_run(store)
    app = show("runs", run=run_id, user=EVA)
    assert "It has learned nothing yet, so nothing is lost" in words_of(app)
    app.button(key="cancel_for_sure").click().run()
    assert get_run(store, run_id).status == "cancelled"
    assert "This run was cancelled by eva@grid.example" in words_of(app)
    assert [button.label for button in app.button if button.label != "Sign out"] == ["Start again"]


def test_stop_before_anything_was_learned_says_that_it_cancels(store: Store, show: Screen) -> None:
    run_id = states.prepare_run(store)
    app = show("runs", run=run_id)
    stop = app.button(key="stop")
    assert stop.label == "Stop"
    assert "stopping cancels it" in stop.help
    stop.click().run()
    assert get_run(store, run_id).wanted == "cancel"
    assert "Cancelling within moments" in words_of(app)


def test_stopped_run_in_the_queue_says_what_it_waits_for(
    store: Store, show: Screen, champion_id: str
) -> None:
    run_id = states.fail_training(store, champion_id)
    app = show("runs", run=run_id)
    _button(app, "Continue after epoch 2").click().run()
    app.button(key="stop").click().run()
    assert "its best weights are judged as soon as a worker is free" in words_of(app)


def test_run_that_is_judged_cannot_stop_any_more_but_be_cancelled(store: Store, show: Screen) -> None:
    run_id = states.train_run(store)
    runs.enter(store, run_id, "evaluating")
    app = show("runs", run=run_id)
    assert app.button(key="stop").disabled
    app.button(key="cancel_for_sure").click().run()
    assert get_run(store, run_id).wanted == "cancel"


def test_run_that_ended_in_the_meantime_says_so(store: Store, show: Screen, champion_id: str) -> None:
    run_id = states.train_run(store)
    app = show("runs", run=run_id)
    states.finish_run(store, run_id, champion_id)
    app.button(key="stop").click().run()
    assert "has succeeded already" in app.toast[0].value
    assert "Old against new" in words_of(app)


def test_failed_run_continues_behind_its_last_epoch_in_a_new_run(
    store: Store, show: Screen, champion_id: str
) -> None:
    failed = states.fail_training(store, champion_id, epochs_done=3)
    app = show("runs", run=failed, user=EVA)
    _button(app, "Continue after epoch 3").click().run()
    newest = list_runs(store)[0]
    assert (newest.continues_id, newest.status, newest.epochs_done) == (failed, "queued", 3)
    said = words_of(app)
    assert f"Run {newest.id[-6:]}" in said
    assert "Goes on behind epoch 3 as soon as a worker is free" in said
    assert f"run-{failed[-6:]}" in [link.proto.label for link in app.get("page_link")]
    assert not app.metric
    assert len(app.get("echarts_chart")) == 2


def test_failed_run_starts_again_in_a_new_run(store: Store, show: Screen, champion_id: str) -> None:
    failed = states.fail_training(store, champion_id)
    app = show("runs", run=failed)
    _button(app, "Start again").click().run()
    newest = list_runs(store)[0]
    assert (newest.continues_id, newest.status, newest.epochs_done) == (failed, "queued", 0)
    assert f"Run {newest.id[-6:]}" in words_of(app)


def test_continue_is_offered_only_where_the_epochs_can_still_be_used(
    store: Store, show: Screen, champion_id: str
) -> None:
    failed = states.fail_training(store, champion_id)
    _button(show("runs", run=failed), "Continue after epoch 2").click().run()
    assert _asked(show("runs", run=failed)) == ["Start again"]

    outdated = states.fail_training(store, champion_id)
    states.promote(store, states.add_checkpoint(store))
    assert _asked(show("runs", run=outdated)) == ["Start again"]


def test_run_that_succeeded_asks_nothing(store: Store, show: Screen, champion_id: str) -> None:
    assert _asked(show("runs", run=states.succeed_run(store, champion_id))) == []


def _asked(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def _button(app: AppTest, label: str) -> Button:
    return next(button for button in app.button if button.label == label)
