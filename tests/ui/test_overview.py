"""The Overview in each state of the product."""

import psutil
import pytest

from core.config import get_settings
from core.registry import checkpoints, handover
from core.store import Store
from core.store.run_views import list_runs
from tests.ui import states
from tests.ui.conftest import Screen, words_of


def test_empty_product_says_what_to_do_next(show: Screen) -> None:
    said = words_of(show())
    assert "No weights are live yet" in said
    assert "The first fine-tune makes the baseline the champion" in said
    assert "No run is at work" in said
    assert "Nothing waits" in said
    assert "python -m core.jobs.worker" in said


def test_demo_is_named_and_can_be_started(store: Store, show: Screen) -> None:
    app = show()
    assert "TMS_PRETRAINED_WEIGHTS" in app.info[0].value
    app.button[0].click().run()
    runs = list_runs(store)
    assert [(run.status, run.source, run.actor) for run in runs] == [("queued", "dashboard", "local")]
    assert f"Run {runs[0].id[-6:]}" in words_of(app)


@pytest.mark.usefixtures("store")
def test_own_weights_get_a_curl_line_instead_of_the_demo(
    show: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMS_PRETRAINED_WEIGHTS", "weights.pt")
    monkeypatch.setenv("TMS_API_PORT", "8123")
    get_settings.cache_clear()
    app = show()
    assert not app.button
    assert not app.info
    assert "curl --json @feedback.json http://127.0.0.1:8123/api/finetune" in app.code[0].value


def test_champion_before_any_run_has_no_figures(store: Store, show: Screen) -> None:
    baseline = states.add_checkpoint(store)
    states.promote(store, baseline)
    said = words_of(show())
    assert f"ckpt-{baseline[-6:]}" in said
    assert "figures appear here" in said


def test_champion_shows_the_figures_it_was_published_with(store: Store, show: Screen) -> None:
    baseline = states.add_checkpoint(store)
    states.promote(store, baseline)
    states.succeed_run(store, baseline, new=0.447)
    app = show()
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures == {"mAP50-95": "44.7", "mAP50": "69.7", "Precision": "74.7", "Recall": "64.7"}


def test_champion_that_held_shows_the_figures_it_defended_itself_with(store: Store, show: Screen) -> None:
    baseline = states.add_checkpoint(store)
    states.promote(store, baseline)
    states.succeed_run(store, baseline, promoted=False, old=0.412, new=0.3)
    assert show().metric[0].value == "41.2"


def test_running_and_waiting_runs_are_listed_with_their_progress(store: Store, show: Screen) -> None:
    running = states.train_run(store)
    waiting = states.queue_run(store)
    states.add_worker(store)
    app = show()
    said = words_of(app)
    assert "1 running, 1 waiting" in said
    assert "gpu-host" in said
    bars = [progress.proto.text for progress in app.get("progress")]
    assert any("Epoch 2 of 4, step 24 of 48" in text for text in bars)
    links = {link.proto.label for link in app.get("page_link")}
    assert {f"run-{running[-6:]}", f"run-{waiting[-6:]}"} <= links


def test_host_health_names_what_is_free(show: Screen, store: Store) -> None:
    bars = {
        progress.proto.text.split()[0].rstrip(","): progress.proto.value
        for progress in show().get("progress")
    }
    assert bars["Disk"] == pytest.approx(psutil.disk_usage(str(store.settings.home)).percent, abs=3)
    assert {"Processor", "Memory"} <= set(bars)


def test_lately_tells_promotions_and_outcomes_newest_first(store: Store, show: Screen) -> None:
    baseline = states.add_checkpoint(store)
    states.promote(store, baseline)
    states.succeed_run(store, baseline)
    states.fail_run(
        store, {"code": "disk_full", "title": "The disk is full", "detail": "Free some.", "extra": {}}
    )
    news = list(show().table[0].value["What"])
    assert "failed: The disk is full" in news[0]
    assert "the champion: baseline" in news[-1]
    assert "passed, +3.5 points, published" in news[1].replace("\\", "")
    assert len(news) == 3


def test_long_queue_hides_neither_the_running_run_nor_the_next_one(store: Store, show: Screen) -> None:
    running = states.train_run(store)
    queue = [states.queue_run(store) for _ in range(60)]
    app = show()
    links = [link.proto.label for link in app.get("page_link")]
    assert links == [f"run-{run_id[-6:]}" for run_id in [running, *queue[:5]]]
    assert "and 55 more" in words_of(app)


def test_champion_tells_which_services_serve_it(store: Store, show: Screen) -> None:
    baseline = states.add_checkpoint(store)
    states.promote(store, baseline)
    assert "No inference service has said that it serves it" in words_of(show())
    sha256 = checkpoints.get(store, baseline).sha256
    for service in ("line-1", "line-2"):
        handover.acknowledge(store, sha256, actor="inference", service=service)
    assert "Served by 2 of 2 inference services." in words_of(show())
    handover.acknowledge(store, "f" * 64, actor="inference", service="*line-2*")
    said = words_of(show())
    assert "Served by 2 of 3 inference services; not yet by *line-2* (heard just now)." in said
