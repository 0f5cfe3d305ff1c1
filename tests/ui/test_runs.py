"""The Runs screen in each state of a run."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.store import Store, runs
from tests.ui import states
from tests.ui.conftest import Screen, words_of


@pytest.fixture
def champion_id(store: Store) -> str:
    baseline = states.add_checkpoint(store)
    states.promote(store, baseline)
    return baseline


def test_no_run_yet_says_how_to_start_one(show: Screen) -> None:
    assert "Start a demo fine-tune on the Overview" in words_of(show("runs"))


def test_list_tells_each_run_in_one_row(store: Store, show: Screen, champion_id: str) -> None:
    better = states.succeed_run(store, champion_id)
    worse = states.succeed_run(store, champion_id, promoted=False, new=0.38)
    states.queue_run(store, actor="eva@grid.example")
    app = show("runs")
    said = words_of(app)
    for expected in ("passed", "+3.5", "yes", "got worse", "−3.2", "no", "eva@grid.example (api)", "queued"):
        assert expected in said
    links = [link.proto.label for link in app.get("page_link")]
    assert links.index(f"run-{worse[-6:]}") < links.index(f"run-{better[-6:]}")


def test_list_is_shown_a_page_at_a_time(store: Store, show: Screen) -> None:
    for _ in range(23):
        states.queue_run(store)
    app = show("runs")
    assert len(app.get("page_link")) == 20
    app.button[0].click().run()
    assert len(app.get("page_link")) == 23
    assert not app.button


def test_unknown_run_is_named_and_not_found(show: Screen) -> None:
    error = show("runs", run="run-../../etc/passwd").error[0].value
    assert "There is nothing with this id" in error
    assert "not" + "\\_" + "found" in error


def test_queued_run_says_its_place(store: Store, show: Screen) -> None:
    states.queue_run(store)
    second = states.queue_run(store)
    assert "Waiting behind 1 other run" in words_of(show("runs", run=second))


def test_preparing_run_says_how_far_the_images_are(store: Store, show: Screen) -> None:
    app = show("runs", run=states.prepare_run(store))
    bar = app.get("progress")[0].proto
    assert (bar.text, bar.value) == ("Fetching and checking images, 3 of 12", 25)


def test_training_run_shows_pace_and_curves(store: Store, show: Screen) -> None:
    app = show("runs", run=states.train_run(store))
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures == {
        "Epoch": "2 / 4",
        "Step": "24 / 48",
        "Images a second": "21.4",
        "Learning rate": "0.00005",
        "Time left": "36 s",
    }
    assert len(app.get("echarts_chart")) == 2
    assert len(_opened(app, "learning_rate_open").get("echarts_chart")) == 3


def test_first_epoch_has_no_score_yet_and_says_when(store: Store, show: Screen) -> None:
    run_id = states.train_run(store, epochs_done=0)
    states.tell_step(store, run_id, 1, 1)
    assert "No epoch is done yet" in words_of(show("runs", run=run_id))


def test_evaluating_run_says_so(store: Store, show: Screen) -> None:
    run_id = states.train_run(store, epochs_done=4)
    runs.enter(store, run_id, "evaluating")
    assert "Judging old and new weights" in words_of(show("runs", run=run_id))


def test_interrupted_run_says_that_it_goes_on(store: Store, show: Screen) -> None:
    run_id = states.train_run(store)
    runs.enter(store, run_id, "interrupted")
    assert "a worker takes it up again" in words_of(show("runs", run=run_id))


def test_published_run_compares_old_and_new(store: Store, show: Screen, champion_id: str) -> None:
    app = show("runs", run=states.succeed_run(store, champion_id))
    assert "The new weights passed and are live" in app.success[0].value
    overall, per_class, composition = (table.value for table in app.table)
    assert list(overall.iloc[0]) == ["mAP50-95", "41.2", "44.7", ":green[+3.5]"]
    assert list(per_class["AP50-95 of class"]) == list(states.CLASSES)
    assert list(composition["Images"]) == ["11", "24", "1", "0"]


def test_worse_run_says_that_the_champion_stays(store: Store, show: Screen, champion_id: str) -> None:
    app = show("runs", run=states.succeed_run(store, champion_id, promoted=False, new=0.38))
    assert "The champion stays" in app.warning[0].value
    assert app.table[0].value["Change"].iloc[0] == ":red[−3.2]"


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("pass", "wait for a person"), ("not_enough_evidence", "not enough evidence")],
)
def test_run_that_was_held_back_says_why(
    store: Store, show: Screen, champion_id: str, verdict: str, said: str
) -> None:
    run_id = states.succeed_run(store, champion_id, promoted=False, verdict=verdict)
    assert said in show("runs", run=run_id).info[0].value


def test_images_put_aside_are_listed_with_reason_and_repair(
    store: Store, show: Screen, champion_id: str
) -> None:
    run_id = states.succeed_run(store, champion_id, quarantined=[_put_aside()])
    row = show("runs", run=run_id).dataframe[0].value.iloc[0]
    assert list(row) == [3, "T10-3", "x_max 900 is beyond the width of 640 px", "Send pixels.", "box_outside"]


def _put_aside() -> dict[str, Any]:
    return {
        "index": 3,
        "image_url": "https://images.example/3.png",
        "sample_id": "T10-3",
        "code": "box_outside",
        "detail": "x_max 900 is beyond the width of 640 px",
        "repair": "Send pixels.",
    }


def test_failed_run_says_what_happened_and_lists_the_images(store: Store, show: Screen) -> None:
    error = {
        "code": "no_usable_images",
        "title": "No image of this batch can be used",
        "detail": "Mend the images listed below and post the batch again.",
        "extra": {"quarantined": [_put_aside()]},
    }
    app = show("runs", run=states.fail_run(store, error))
    assert "Mend the images listed below" in app.error[0].value
    assert len(app.dataframe[0].value) == 1


def test_cancelled_run_says_how_to_go_on(store: Store, show: Screen) -> None:
    run_id = states.queue_run(store)
    runs.enter(store, run_id, "cancelled")
    assert "Post the batch again" in words_of(show("runs", run=run_id))


def test_words_from_outside_draw_nothing(store: Store, show: Screen) -> None:
    attack = "![x](https://evil.example/x.png) [click](https://evil.example) :red[x]"
    error = {"code": "training_failed", "title": attack, "detail": attack, "extra": {}}
    app = show("runs", run=states.fail_run(store, error, actor=attack, note=attack))
    shown = [element.value for element in [*app.markdown, *app.caption, *app.error]]
    assert not [text for text in shown if "![x](" in text or "[click](" in text or ":red[" in text]
    assert any("evil" in text for text in shown)


def test_log_shows_the_newest_lines(store: Store, show: Screen) -> None:
    run_id = states.train_run(store)
    log = Path(store.settings.logs_dir / f"{run_id}.log")
    log.write_text("\n".join(f"line {number}" for number in range(5000)), encoding="utf-8")
    shown = _opened(show("runs", run=run_id), "log_open").code[0].value.splitlines()
    assert (shown[-1], len(shown)) == ("line 4999", 200)


def test_log_that_has_not_begun_says_when_it_will(store: Store, show: Screen) -> None:
    said = words_of(_opened(show("runs", run=states.train_run(store)), "log_open"))
    assert "The log begins when a worker takes the run" in said


def _opened(app: AppTest, key: str) -> AppTest:
    app.session_state[key] = True
    return app.run()
