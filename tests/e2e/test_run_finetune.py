"""The way of a batch in one process, without any server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from core import FineTuneSummary, run_finetune
from core.config import CHECKOUT
from core.errors import (
    BaselineMissing,
    BaselineUnreadable,
    BaseSetMissing,
    ClassMapMismatch,
    DeviceUnavailable,
    NoUsableImages,
)
from core.registry import checkpoints, publish
from core.store import Store, run_views, runs
from tests.factories import image, request, write_base_set

ULTRALYTICS_KEYS = {
    "metrics/precision(B)",
    "metrics/recall(B)",
    "metrics/mAP50(B)",
    "metrics/mAP50-95(B)",
    "fitness",
}


def _published(settings):
    return {path.name: path.read_bytes() for path in settings.weights_dir.glob("*.*")}


def test_a_batch_becomes_published_weights(product, feedback):
    events = []
    summary = run_finetune(feedback(), settings=product, on_progress=lambda kind, _: events.append(kind))
    assert (summary.feedback_samples, summary.replay_samples, summary.dataset_size) == (3, 2, 5)
    assert set(summary.metrics) == set(summary.champion_metrics) == ULTRALYTICS_KEYS
    # Four test images are too few for more; no loss was seen, so it is published all the same.
    assert (summary.verdict, summary.promoted, summary.quarantined) == ("not_enough_evidence", True, [])
    assert summary.champion_id == summary.checkpoint_id
    assert {"phase", "batch", "epoch"} <= set(events)
    assert Path(summary.weights_path).read_bytes()
    assert Path(summary.log_path).read_text()
    last = json.loads((product.weights_dir / "last_metrics.json").read_text())
    assert last["hyperparams"]["epochs"] == 2
    assert last["metrics"] == summary.metrics
    with Store.open(product) as store:
        run = run_views.get_run(store, summary.run_id)
        assert (run.status, run.summary) == ("succeeded", summary)
        told = [event.payload["status"] for event in runs.events_after(store, run.id, kinds=("status",))]
        assert told == ["preparing", "training", "evaluating", "succeeded"]
        candidate, baseline = (checkpoints.get(store, entry.checkpoint_id) for entry in publish.ledger(store))
        assert candidate.parent_id == baseline.id
        assert candidate.dataset_digest == summary.dataset_digest
        live = checkpoints.verified_weights(store, candidate).read_bytes()
        assert live == Path(summary.weights_path).read_bytes()


def test_the_next_batch_starts_from_the_champion_and_may_replay_the_last(product, feedback):
    first = run_finetune(feedback(), settings=product)
    second = run_finetune(feedback(count=1, train_replay=100), settings=product)
    with Store.open(product) as store:
        assert checkpoints.get(store, second.checkpoint_id).parent_id == first.checkpoint_id
    # Six base images, and two of the first batch's three: the third is in this batch again.
    assert second.replay_samples == 8


def test_manual_policy_keeps_the_candidate_and_publishes_nothing(product, feedback):
    summary = run_finetune(feedback(promotion="manual"), settings=product)
    assert not summary.promoted
    with Store.open(product) as store:
        baseline = checkpoints.get(store, summary.champion_id)
        assert baseline.parent_id is None
        assert (
            Path(summary.weights_path).read_bytes()
            == checkpoints.verified_weights(store, baseline).read_bytes()
        )
        assert checkpoints.verified_weights(store, checkpoints.get(store, summary.checkpoint_id))


def test_one_bad_image_is_put_aside_and_the_batch_goes_on(product, feedback, httpserver):
    asked = feedback()
    httpserver.expect_request("/nothing.png").respond_with_data(status=404)
    bad = image(httpserver.url_for("/nothing.png?token=secret"), sample_id="T7")
    mixed = request(
        bad, *asked.model_dump(exclude_none=True)["images"], **asked.model_dump(exclude={"images"})
    )
    summary = run_finetune(mixed, settings=product)
    (put_aside,) = summary.quarantined
    assert (put_aside.index, put_aside.sample_id, put_aside.code) == (0, "T7", "fetch_not_found")
    assert "secret" not in summary.model_dump_json()
    assert summary.feedback_samples == 3


def _spoil(product, how):
    if how is BaselineMissing:
        product.pretrained_weights.unlink()
    elif how is BaselineUnreadable:
        product.pretrained_weights.write_bytes(b"no weights")
    elif how is BaseSetMissing:
        (product.annotated_dataset_root / "data.yaml").unlink()
    elif how is ClassMapMismatch:
        path = product.annotated_dataset_root / "data.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"names": ["x", "y", "z"]}))


@pytest.mark.parametrize("error", [BaselineMissing, BaselineUnreadable, BaseSetMissing, ClassMapMismatch])
def test_what_is_missing_is_told_and_mended_the_next_run_works(product, feedback, error, tmp_path):
    _spoil(product, error)
    with pytest.raises(error) as raised:
        run_finetune(feedback(), settings=product)
    with Store.open(product) as store:
        (run,) = run_views.list_runs(store)
    assert (run.status, run.error["code"]) == ("failed", error.code)
    assert run.error["detail"] == raised.value.detail
    from tests.weights import write_tiny_weights

    write_tiny_weights(product.pretrained_weights, product)
    write_base_set(product.annotated_dataset_root)
    assert run_finetune(feedback(), settings=product).promoted


def test_a_run_that_fails_leaves_what_is_live(product, feedback):
    run_finetune(feedback(), settings=product)
    before = _published(product)
    with pytest.raises(DeviceUnavailable, match="Use auto or cpu"):
        run_finetune(feedback(device="7"), settings=product)
    assert _published(product) == before
    assert run_finetune(feedback(), settings=product).promoted


def test_a_batch_without_a_usable_image_tells_each_fault(product, httpserver):
    httpserver.expect_request("/gone").respond_with_data(status=404)
    httpserver.expect_request("/page").respond_with_data("<html>", content_type="text/html")
    images = [image(httpserver.url_for(path)) for path in ("/page", "/gone")]
    with pytest.raises(NoUsableImages) as raised:
        run_finetune(request(*images, image("http://127.0.0.1:1/x.png"), image_size=64), settings=product)
    codes = [entry["code"] for entry in raised.value.extra["quarantined"]]
    assert len(codes) == 3
    assert codes[1] == "fetch_not_found"


_WATCHED = """
import json, os, sys
seen = {"connect": [], "write": []}
def watch(event, args):
    if event == "socket.connect":
        seen["connect"].append(str(args[1]))
    elif event == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen["write"].append(args[0])
sys.addaudithook(watch)
from core import FineTuneRequest, run_finetune
summary = run_finetune(FineTuneRequest.model_validate_json(sys.stdin.read()))
seen["summary"] = summary.model_dump(mode="json")
print(json.dumps(seen))
"""


def _watched_run(product, asked, user_home):
    """The run in a fresh process, with every connection and every file opened for writing noted."""
    user_home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(user_home),
        "TMPDIR": str(user_home),
        "PYTHONDONTWRITEBYTECODE": "1",
        **product.environment(),
    }
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED],
        input=asked.model_dump_json(exclude_none=True),
        env=environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_is_written_elsewhere_and_nobody_else_is_called(product, feedback, httpserver, tmp_path):
    seen = _watched_run(product, feedback(), tmp_path / "user")
    FineTuneSummary.model_validate(seen["summary"])
    assert {address for address in seen["connect"] if str(httpserver.port) not in address} == set()
    home = str(product.home)  # the user's home and temporary folder lie in it too, and are looked at below
    absolute = {path for path in seen["write"] if Path(path).is_absolute()}
    assert {path for path in absolute if not path.startswith((home, "/proc", "/dev"))} == set()
    assert list((tmp_path / "user").rglob("*")) == []


_WITH_LITTLE_SPACE = """
import resource, signal, sys
from core import FineTuneRequest, run_finetune
from core.errors import TmsError
request = FineTuneRequest.model_validate_json(sys.stdin.read())
# What a full disk does, at the same calls: no file may grow above this size.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
try:
    run_finetune(request)
except TmsError as error:
    print(error.code, error.detail)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_disk_that_fills_up_ends_the_run_and_leaves_what_is_live(product, feedback):
    summary = run_finetune(feedback(), settings=product)
    before = _published(product)
    limit = Path(summary.weights_path).stat().st_size - 1_000
    told = subprocess.run(
        [sys.executable, "-c", _WITH_LITTLE_SPACE, str(limit)],
        input=feedback().model_dump_json(exclude_none=True),
        env={**os.environ, **product.environment()},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith("disk_full There was no space left while writing")
    assert _published(product) == before
    with Store.open(product) as store:
        assert run_views.list_runs(store)[0].error["code"] == "disk_full"
    assert run_finetune(feedback(), settings=product).promoted
