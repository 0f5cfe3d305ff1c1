"""Numbers, times and names as they are said."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.store import Store, runs
from pages._ui import charts, words
from pages._ui.history import History
from pages._ui.log_tail import last_lines
from tests.ui import states

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (61, "1 min 1 s"),
        (1200, "20 min"),
        (3599.9, "1 h 0 min"),
        (5400, "1 h 30 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "just now"),
        (3, "just now"),
        (30, "30 s ago"),
        (90, "1 min ago"),
        (7200, "2 h ago"),
        (200_000, "2 d ago"),
    ],
)
def test_ago(seconds: float, said: str) -> None:
    assert words.ago(NOON - timedelta(seconds=seconds), NOON) == said


@pytest.mark.parametrize(
    ("timezone", "said"),
    [
        ("Europe/Vienna", "1 Mar, 13:00"),
        ("America/New_York", "1 Mar, 07:00"),
        (None, "1 Mar, 12:00 UTC"),
        ("No/Such_Zone", "1 Mar, 12:00 UTC"),
        ("../../etc/passwd", "1 Mar, 12:00 UTC"),
    ],
)
def test_local_time(timezone: str | None, said: str) -> None:
    assert words.local_time(NOON, timezone, NOON) == said


def test_local_time_of_another_year_says_which() -> None:
    assert words.local_time(NOON, "UTC", NOON + timedelta(days=365)) == "1 Mar 2026, 12:00"


@pytest.mark.parametrize(
    ("new", "old", "said"),
    [
        (0.447, 0.412, "+3.5"),
        (0.38, 0.412, "−3.2"),
        (0.4, 0.4, "±0.0"),
        (0.40004, 0.4, "±0.0"),
        (None, 0.4, "–"),
    ],
)
def test_change_in_points(new: float | None, old: float | None, said: str) -> None:
    assert words.points_change(new, old) == said


def test_small_numbers_have_no_exponent() -> None:
    assert [words.small_number(value) for value in (1e-4, 9.37e-5, 0.01, 1.0, 0.0)] == [
        "0.0001",
        "0.000094",
        "0.01",
        "1",
        "0",
    ]


@given(st.text())
def test_plain_text_has_no_live_markdown(text: str) -> None:
    shown = words.plain(text)
    live = [mark for index, mark in enumerate(shown) if mark in "`*_[]<:$~!" and not _escaped(shown, index)]
    assert not live
    assert "\n" not in shown


def _escaped(text: str, index: int) -> bool:
    return (index - len(text[:index].rstrip("\\"))) % 2 == 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(1, 700))
def test_thinned_curve_keeps_length_order_and_level(ys: list[float], most: int) -> None:
    curve = [(float(x), y) for x, y in enumerate(ys)]
    thinned = charts.thin(curve, most)
    assert len(thinned) == min(len(curve), most)
    assert [point[0] for point in thinned] == sorted(point[0] for point in thinned)
    assert min(ys) - 1e-6 <= min(p[1] for p in thinned) <= max(p[1] for p in thinned) <= max(ys) + 1e-6


def test_chart_never_carries_more_than_its_points() -> None:
    batches = [
        {"epoch": 1, "epochs": 1, "step": s, "steps": 2000, "loss": {"box_loss": 1.0}, "learning_rate": 1e-4}
        for s in range(1, 2001)
    ]
    for chart in (charts.losses(batches), charts.learning_rates(batches)):
        assert [len(line["data"]) for line in chart["series"]] == [charts.MAX_POINTS]


def test_history_reads_only_what_is_new(store: Store) -> None:
    run_id = states.train_run(store, epochs_done=1)
    history = History(run_id)
    history.read(store)
    seen, steps = history.seq, len(history.batches)
    states.tell_epoch(store, run_id, 2)
    history.read(store)
    assert history.seq == seen + states.STEPS_PER_EPOCH + len(("load", "epoch"))
    assert len(history.batches) == steps + states.STEPS_PER_EPOCH


def test_history_of_a_run_that_goes_on_has_each_step_once(store: Store) -> None:
    run_id = states.train_run(store, epochs_done=1)
    for step in (13, 14, 15):
        states.tell_step(store, run_id, 2, step)
    history = History(run_id)
    history.read(store)
    states.go_on(store, run_id)
    history.read(store)
    assert [batch["step"] for batch in history.batches] == list(range(1, 13))
    states.tell_epoch(store, run_id, 2)
    history.read(store)
    assert [batch["step"] for batch in history.batches] == list(range(1, 25))
    assert [epoch["epoch"] for epoch in history.epochs] == [1, 2]


def test_newest_word_on_where_a_run_stands_wins(store: Store) -> None:
    run_id = states.prepare_run(store)
    history = History(run_id)
    history.read(store)
    assert history.phase is not None
    runs.enter(store, run_id, "training")
    history.read(store)
    assert (history.phase, history.batch) == (None, None)
    states.tell_step(store, run_id, 1, 1)
    history.read(store)
    assert history.batch is not None
    runs.add_event(store, run_id, "phase", {"phase": "Waiting for device 0", "done": 0, "total": 0})
    history.read(store)
    assert history.batch is None
    assert history.phase == {"phase": "Waiting for device 0", "done": 0, "total": 0}


def test_log_tail_reads_whole_lines_of_a_large_file(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(b"\xff broken\n" + b"".join(b"line %d\n" % number for number in range(100_000)))
    lines = last_lines(log).splitlines()
    assert (lines[0], lines[-1]) == ("line 99800", "line 99999")


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3.4 * 1024, "3.4 KiB"),
        (120 * 1024**2, "120 MiB"),
        (1024**3 - 1, "1.0 GiB"),
        (5000 * 1024**3, "5,000.0 GiB"),
    ],
)
def test_sizes_are_said_in_their_largest_useful_unit(size_bytes: float, said: str) -> None:
    assert words.size(size_bytes) == said
