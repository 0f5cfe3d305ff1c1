"""The Runs screen in each state of a run."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.store import Store, claims, runs
from core.store.run_views import get_run
from core.store.tables import utc_now
from core.training import failures
from pages._ui.words import local_time, moment
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
    first, second = states.queue_run(store), states.queue_run(store)
    assert "Next in the queue, start unknown yet" in words_of(show("runs", run=first))
    assert "Waiting behind 1 other run, start unknown yet" in words_of(show("runs", run=second))
    said = words_of(show("runs"))
    assert "behind 1, start unknown yet" in said
    assert "next, start unknown yet" in said


def test_queued_run_says_when_it_is_expected_to_start(store: Store, show: Screen, champion_id: str) -> None:
    states.succeed_run(store, champion_id, took=timedelta(hours=2))
    first, second = states.queue_run(store), states.queue_run(store)
    assert "start expected within moments" in words_of(show("runs", run=first))
    start = moment(get_run(store, second).expected_start_at or "")
    said = words_of(show("runs", run=second))
    assert "start expected in 2 h 0 min" in said or "start expected in 1 h 59 min" in said
    assert f"({local_time(start, None)})" in said


def test_run_that_was_interrupted_says_where_it_goes_on(store: Store, show: Screen) -> None:
    run_id = states.train_run(store, epochs_done=2)
    claims.hand_back(store, states.claim_of(store, run_id))
    said = words_of(show("runs", run=run_id))
    assert "Goes on behind epoch 2 as soon as a worker is free. Next in the queue" in said
    assert "Time left" not in said


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


def test_training_run_shows_what_it_takes_of_its_machine(store: Store, show: Screen) -> None:
    run_id = states.prepare_run(store)
    assert "Last sign of life" in words_of(show("runs", run=run_id)).replace("\N{NO-BREAK SPACE}", " ")
    states.tell_load(store, run_id)
    said = words_of(show("runs", run=run_id)).replace("\N{NO-BREAK SPACE}", " ")
    assert re.search(r"Last sign of life \d s ago", said)
    assert "Processor **1.9 cores**" in said
    assert "Memory **3.0 GiB**, host 46 % full" in said
    assert "GPU 0 **87 %**, 10.0 GiB of 80.0 GiB" in said


def test_silent_run_says_what_comes_of_it(store: Store, show: Screen) -> None:
    run_id = states.train_run(store)
    runs.enter(store, run_id, "training", heartbeat_at=utc_now() - timedelta(seconds=30))
    said = words_of(show("runs", run=run_id))
    assert re.search(r"No sign of life for 3\d s", said)
    assert "another worker goes on with the run" in said
    assert "Processor" not in said


def test_resumed_run_has_one_curve(store: Store, show: Screen) -> None:
    run_id = states.train_run(store, epochs_done=1)
    for step in range(13, 22):
        states.tell_step(store, run_id, 2, step)
    states.go_on(store, run_id)
    states.tell_step(store, run_id, 2, 15)
    app = show("runs", run=run_id)
    steps = [[point[0] for point in line["data"]] for line in _lines(app)]
    assert steps == [[*range(1, 13), 15]] * 3
    assert app.get("progress")[0].proto.text.startswith("Epoch 2 of 4, step 15 of 48")


def _lines(app: AppTest) -> list[dict[str, Any]]:
    spec = json.loads(app.get("echarts_chart")[0].proto.spec)
    lines: list[dict[str, Any]] = spec["series"]
    return lines


def test_run_that_gets_ready_to_go_on_does_not_show_the_step_of_before(store: Store, show: Screen) -> None:
    run_id = states.train_run(store, epochs_done=1)
    claims.hand_back(store, states.claim_of(store, run_id))
    states.take(store, run_id)
    runs.add_event(store, run_id, "phase", {"phase": "Bringing the images", "done": 0, "total": 0})
    app = show("runs", run=run_id)
    assert "Bringing the images" in words_of(app)
    assert not app.metric


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
    assert "it goes back into the queue" in words_of(show("runs", run=run_id))


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


def test_failed_run_says_what_to_try_and_shows_the_end_of_its_log(store: Store, show: Screen) -> None:
    lines = [f"line {number}" for number in range(4000)] + ["MemoryError: ![x](https://evil.example/x.png)"]
    run_id = states.prepare_run(store)
    store.settings.log_path(run_id).write_text("\n".join(lines), encoding="utf-8")
    error = failures.explained(MemoryError("8 GiB"), store.settings.log_path(run_id))
    runs.fail(store, run_id, error.as_dict())
    app = show("runs", run=run_id)
    told = app.error[0].value
    assert "There was not enough memory" in told
    assert "\n- Retry with half the batch\\_size" in told
    assert "MemoryError" in told.splitlines()[-1]
    assert app.code[0].value.splitlines() == lines[-10:]


def test_cancelled_run_says_how_to_go_on(store: Store, show: Screen) -> None:
    run_id = states.queue_run(store)
    runs.enter(store, run_id, "cancelled")
    assert "**Start again** learns from it anew" in words_of(show("runs", run=run_id))


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


def test_log_of_another_host_is_shown_from_what_its_worker_sent(store: Store, show: Screen) -> None:
    run_id = states.train_run(store)
    for start in (0, 150):
        lines = [f"INFO line {number}" for number in range(start, start + 150)]
        runs.add_event(store, run_id, "log", {"lines": lines})
    app = _opened(show("runs", run=run_id), "log_open")
    shown = app.code[0].value.splitlines()
    assert (shown[0], shown[-1], len(shown)) == ("INFO line 100", "INFO line 299", 200)
    assert "on the worker's host" in words_of(app)


def test_log_that_has_not_begun_says_when_it_will(store: Store, show: Screen) -> None:
    said = words_of(_opened(show("runs", run=states.train_run(store)), "log_open"))
    assert "The log begins when a worker takes the run" in said


def _opened(app: AppTest, key: str) -> AppTest:
    app.session_state[key] = True
    return app.run()
