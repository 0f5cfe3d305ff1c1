import json

import pytest
import sqlalchemy as sa
from s3fs import S3FileSystem

from core.errors import BlobDamaged, BlobStoreUnavailable, CheckpointDamaged, NotFound
from core.evaluation.metrics import Score
from core.registry import checkpoints, evaluations
from core.store import Store
from core.store.tables import Checkpoint, Evaluation
from core.trainer import accept
from tests.factories import CLASS_NAMES, make_settings, request
from tests.processes import free_port
from tests.unit.registry.factories import promote, register

SCORE = Score(set_name="test", set_digest="d", image_count=1, metrics={"fitness": 0.5}, per_class=())


def _run(store):
    with store.database.write() as session:
        posted = request({"image_url": "http://x/a", "detections": []})
        return accept(session, posted, source="t", actor="t").id


def _manifest(store, checkpoint):
    path = checkpoints.weights_path(store, checkpoint.id).with_name("manifest.json")
    return json.loads(path.read_text())


def _rows(store, table):
    with store.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table))


def test_a_checkpoint_has_a_manifest_and_its_own_bytes(store):
    baseline = register(store, b"old weights")
    manifest = _manifest(store, baseline)
    assert manifest["sha256"] == baseline.sha256
    assert manifest["class_names"] == list(CLASS_NAMES)
    assert {"torch", "ultralytics"} <= set(manifest["libraries"])
    assert checkpoints.get(store, baseline.id).manifest == manifest
    assert checkpoints.verified_weights(store, baseline).read_bytes() == b"old weights"
    with pytest.raises(NotFound):
        checkpoints.get(store, "ckpt-nobody")


def test_another_host_has_the_same_weights_and_manifest(hosts):
    here, there = hosts
    checkpoint = checkpoints.get(there, register(here, b"weights").id)
    path = checkpoints.weights_path(there, checkpoint.id)
    assert not path.exists()
    assert checkpoints.verified_weights(there, checkpoint) == path
    assert path.read_bytes() == b"weights"
    assert sorted(file.name for file in path.parent.iterdir()) == ["manifest.json", "weights.pt"]
    assert _manifest(there, checkpoint) == _manifest(here, checkpoint)
    assert checkpoints.verified_weights(here, checkpoint).read_bytes() == b"weights"


def test_weights_that_were_replaced_on_one_host_are_fetched_anew(hosts):
    here, _ = hosts
    checkpoint = register(here, b"weights")
    path = checkpoints.weights_path(here, checkpoint.id)
    path.unlink()
    path.write_bytes(b"other")
    assert checkpoints.verified_weights(here, checkpoint).read_bytes() == b"weights"


def test_weights_that_are_gone_everywhere_are_damaged(hosts):
    here, there = hosts
    checkpoint = register(here, b"weights")
    here.blobs.delete(checkpoint.sha256)
    assert checkpoints.verified_weights(here, checkpoint).read_bytes() == b"weights"
    with pytest.raises(CheckpointDamaged, match=r"weights\.pt is missing.*blob store.*roll back"):
        checkpoints.verified_weights(there, checkpoint)
    assert not checkpoints.weights_path(there, checkpoint.id).parent.exists()


def test_weights_altered_in_place_are_restored_from_bytes_of_their_own(store):
    checkpoint = register(store, b"weights")
    checkpoints.weights_path(store, checkpoint.id).write_bytes(b"other")
    assert checkpoints.verified_weights(store, checkpoint).read_bytes() == b"weights"


def test_weights_altered_in_both_places_are_damaged(store):
    checkpoint = register(store, b"weights")
    for path in (checkpoints.weights_path(store, checkpoint.id), store.blobs.local_path(checkpoint.sha256)):
        path.write_bytes(b"other")
    with pytest.raises(CheckpointDamaged):
        checkpoints.verified_weights(store, checkpoint)


def test_without_the_blob_store_nothing_is_registered(tmp_path, s3_url, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    with Store.open(make_settings(tmp_path, blob_url=s3_url)) as store:
        with pytest.raises(BlobStoreUnavailable, match="the weights of checkpoint"):
            register(store, b"weights")
        assert list(store.settings.weights_dir.iterdir()) == []
        assert _rows(store, Checkpoint) == 0


def test_nothing_is_left_of_what_was_discarded(hosts):
    here, there = hosts
    candidate = register(here, b"weights")
    evaluations.record(here, candidate.id, SCORE, run_id=_run(here))
    assert checkpoints.discard(here, candidate.id)
    assert (_rows(here, Checkpoint), _rows(here, Evaluation)) == (0, 0)
    assert list(here.settings.weights_dir.iterdir()) == []
    with pytest.raises(BlobDamaged):
        there.blobs.get(candidate.sha256)
    assert not checkpoints.discard(here, candidate.id)


def test_the_same_weights_of_another_checkpoint_stay(hosts):
    here, there = hosts
    candidate, twin = register(here, b"weights"), register(there, b"weights")
    assert checkpoints.discard(here, candidate.id)
    assert there.blobs.get(twin.sha256) == b"weights"
    assert checkpoints.discard(there, twin.id)
    with pytest.raises(BlobDamaged):
        here.blobs.get(twin.sha256)


def test_what_the_ledger_names_is_never_discarded(store):
    first, second = register(store, b"1"), register(store, b"2")
    assert promote(store, first, None)
    assert promote(store, second, first.id)
    for checkpoint in (first, second):
        assert not checkpoints.discard(store, checkpoint.id)
        assert checkpoints.verified_weights(store, checkpoints.get(store, checkpoint.id)).is_file()
        assert store.blobs.get(checkpoint.sha256)


def test_a_discard_that_could_not_reach_the_blob_store_can_be_repeated(tmp_path, s3_url, monkeypatch):
    settings = make_settings(tmp_path, blob_url=s3_url)
    with Store.open(settings) as store:
        candidate = register(store, b"weights")
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        away.setenv("AWS_MAX_ATTEMPTS", "1")
        S3FileSystem.clear_instance_cache()
        with Store.open(settings) as store, pytest.raises(BlobStoreUnavailable):
            checkpoints.discard(store, candidate.id)
    S3FileSystem.clear_instance_cache()
    with Store.open(settings) as store:
        assert checkpoints.verified_weights(store, checkpoints.get(store, candidate.id)).is_file()
        assert checkpoints.discard(store, candidate.id)
        assert _rows(store, Checkpoint) == 0
