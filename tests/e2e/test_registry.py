"""A candidate that was held is published by hand, taken back, reported and exported: all of it real."""

import json
import subprocess

import pytest

from core import run_finetune
from core.registry import onnx_exports, promotion, publish, separate
from core.registry.report import render
from core.store import Store
from core.store.blobs import file_sha256
from core.store.tables import Witness


@pytest.fixture
def store(product):
    with Store.open(product) as store:
        yield store


def test_a_held_candidate_goes_live_by_hand_and_comes_back(product, store, feedback, monkeypatch):
    summary = run_finetune(feedback(promotion="manual"), settings=product)
    assert not summary.promoted
    baseline, candidate = summary.champion_id, summary.checkpoint_id
    with store.database.read() as session:
        proven = [session.get_one(Witness, id_).proven_with for id_ in (baseline, candidate)]
    assert all(proven)
    # The run has had the candidate loaded elsewhere: publishing it starts no process.
    monkeypatch.setattr(separate.subprocess, "run", _no_process)
    by = {"actor": "anna", "reason": "finds loose joints"}
    live = promotion.promote(store, candidate, expected_champion_id=baseline, override="override", **by)
    assert (live.id, live.verdict) == (candidate, summary.verdict)
    assert live.is_override == (summary.verdict == "fail")
    assert file_sha256(publish.published_path(store)) == live.sha256
    assert promotion.roll_back(store, expected_champion_id=candidate, **by).id == baseline
    page = render(store, summary.run_id)
    assert candidate in page
    assert page.count("data:image/jpeg;base64,") == summary.feedback_samples


def _no_process(*_, **__):
    raise AssertionError("a process was started")


def test_a_candidate_that_no_other_process_can_load_is_not_published(product, store, feedback, monkeypatch):
    real = subprocess.run

    def without_ultralytics(command, **options):
        # As where the weights only load in the process that made them.
        options["env"] = {**options["env"], "PYTHONPATH": str(_broken_library(product.home))}
        return real(command, **options)

    monkeypatch.setattr(separate.subprocess, "run", without_ultralytics)
    from core.errors import PublishFailed

    with pytest.raises(PublishFailed, match="could not be loaded by another process") as failed:
        run_finetune(feedback(), settings=product)
    assert failed.value.extra["try"]
    [entry] = publish.ledger(store)
    assert entry.reason == "Baseline baseline.pt adopted."
    shown = json.loads((product.weights_dir / "champion.json").read_text())
    assert shown["id"] == entry.checkpoint_id


def _broken_library(home):
    folder = home / "broken" / "ultralytics"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text("raise ImportError('no such library here')\n")
    return folder.parent


def test_a_candidate_is_exported_and_sees_the_same(product, store, feedback):
    summary = run_finetune(feedback(promotion="manual"), settings=product)
    made = onnx_exports.export(store, summary.checkpoint_id)
    assert made.image_size == summary.hyperparameters.image_size
    assert made.agrees, made.parity
    assert made.parity.image_count == 4
