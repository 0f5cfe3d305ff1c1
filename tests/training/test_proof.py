"""Weights are loaded by a process that did not write them, before anything is published."""

import pytest
import sqlalchemy as sa

from core.errors import PublishFailed
from core.registry import checkpoints, proof, separate
from core.store import Store
from core.store.tables import Witness
from tests.factories import CLASS_NAMES, make_settings
from tests.weights import write_tiny_weights

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path):
    with Store.open(make_settings(tmp_path)) as store:
        yield store


@pytest.fixture
def candidate(store, bench):
    return checkpoints.register(store, bench.weights, class_names=CLASS_NAMES)


def _witness(store):
    with store.database.read() as session:
        return session.scalar(sa.select(Witness))


def _count_processes(monkeypatch):
    started, real = [], separate.subprocess.run

    def run(*arguments, **options):
        started.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(separate.subprocess, "run", run)
    return started


def test_another_process_sees_what_this_one_saw_and_is_asked_once(store, candidate, bench, monkeypatch):
    proof.keep_witness(store, candidate, bench.feedback[0].path, image_size=64)
    seen = _witness(store)
    assert seen.proven_with is None
    assert seen.detections
    assert store.blobs.get(seen.image_sha256) == bench.feedback[0].path.read_bytes()
    started = _count_processes(monkeypatch)
    proof.prove(store, candidate)
    proof.prove(store, candidate)
    assert len(started) == 1
    proven = _witness(store)
    assert "torch" in proven.proven_with
    assert proven.detections == seen.detections


def test_weights_that_see_something_else_are_refused(store, candidate, bench):
    proof.keep_witness(store, candidate, bench.feedback[0].path, image_size=64)
    with store.database.write() as session:
        row = session.scalar(sa.select(Witness))
        row.detections = [{**row.detections[0], "confidence": 0.8}]
    with pytest.raises(PublishFailed, match="did not see when it was judged"):
        proof.prove(store, candidate)
    assert _witness(store).proven_with is None


def test_weights_that_nobody_can_load_are_refused(store, tmp_path):
    path = tmp_path / "new.pt"
    path.write_bytes(b"no weights")
    broken = checkpoints.register(store, path, class_names=CLASS_NAMES)
    with pytest.raises(PublishFailed, match=r"could not be loaded by another process.*as YOLO weights"):
        proof.prove(store, broken)
    assert _witness(store) is None


def test_weights_that_this_process_did_not_write_need_no_other(store, bench, monkeypatch):
    write_tiny_weights(store.settings.pretrained_weights, store.settings)
    baseline = checkpoints.register(store, store.settings.pretrained_weights, class_names=CLASS_NAMES)
    started = _count_processes(monkeypatch)
    proof.keep_proven(store, baseline)
    proof.prove(store, baseline)
    assert started == []
    assert checkpoints.discard(store, baseline.id)
    assert _witness(store) is None


def test_another_version_of_the_libraries_has_to_see_the_same_anew(store, candidate, bench):
    proof.keep_witness(store, candidate, bench.feedback[0].path, image_size=64, is_proof=True)
    with store.database.write() as session:
        session.scalar(sa.select(Witness)).proven_with = "torch 1.0, ultralytics 7.0"
    # The image is gone: then it only has to load.
    store.blobs.delete(_witness(store).image_sha256)
    proof.prove(store, candidate)
    assert "torch 1.0" not in _witness(store).proven_with
