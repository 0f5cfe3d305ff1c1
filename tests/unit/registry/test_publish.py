import importlib
import json
import multiprocessing
import signal
import sys

import pytest

from core.config import Settings
from core.errors import CheckpointDamaged, DiskFull, NotFound
from core.evaluation.metrics import Score
from core.registry import checkpoints, publish
from core.registry.files import Replacement
from core.store import Store
from tests.factories import CLASS_NAMES, request


def _checkpoint(store, content: bytes, parent_id=None):
    path = store.settings.home / "new.pt"
    path.write_bytes(content)
    return checkpoints.register(store, path, class_names=CLASS_NAMES, parent_id=parent_id)


def _promote(store, checkpoint, instead_of):
    return publish.promote(store, checkpoint, instead_of=instead_of, actor="anna", reason="better")


def test_a_checkpoint_has_a_manifest_and_its_own_bytes(store):
    baseline = _checkpoint(store, b"old weights")
    manifest = json.loads(checkpoints.weights_path(store, baseline.id).with_name("manifest.json").read_text())
    assert manifest["sha256"] == baseline.sha256
    assert manifest["class_names"] == list(CLASS_NAMES)
    assert {"torch", "ultralytics"} <= set(manifest["libraries"])
    assert checkpoints.get(store, baseline.id).manifest == manifest
    with pytest.raises(NotFound):
        checkpoints.get(store, "ckpt-nobody")


def test_promotion_writes_file_champion_and_ledger(store):
    assert publish.champion(store) is None
    baseline = _checkpoint(store, b"old weights")
    assert _promote(store, baseline, None)
    better = _checkpoint(store, b"new weights", baseline.id)
    assert _promote(store, better, baseline.id)
    assert publish.champion(store).id == better.id
    assert publish.published_path(store).read_bytes() == b"new weights"
    champion = json.loads((store.settings.weights_dir / "champion.json").read_text())
    assert (champion["id"], champion["promoted_by"]) == (better.id, "anna")
    newest, oldest = publish.ledger(store)
    assert (newest.checkpoint_id, newest.previous_id) == (better.id, baseline.id)
    assert (oldest.checkpoint_id, oldest.previous_id) == (baseline.id, None)


def test_promoting_what_is_live_again_adds_no_row(store):
    baseline = _checkpoint(store, b"old weights")
    assert _promote(store, baseline, None)
    publish.published_path(store).unlink()
    assert _promote(store, baseline, None)
    assert len(publish.ledger(store)) == 1
    assert publish.published_path(store).read_bytes() == b"old weights"


def test_a_candidate_judged_against_a_champion_that_left_is_not_published(store):
    first, second, late = (_checkpoint(store, content) for content in (b"1", b"2", b"3"))
    _promote(store, first, None)
    _promote(store, second, first.id)
    assert not _promote(store, late, first.id)
    assert publish.champion(store).id == second.id
    assert publish.published_path(store).read_bytes() == b"2"


def test_damaged_weights_are_not_published(store):
    baseline, damaged = _checkpoint(store, b"old weights"), _checkpoint(store, b"new weights")
    _promote(store, baseline, None)
    checkpoints.weights_path(store, damaged.id).write_bytes(b"other bytes")
    with pytest.raises(CheckpointDamaged, match="roll back"):
        _promote(store, damaged, baseline.id)
    assert publish.champion(store).id == baseline.id
    assert publish.published_path(store).read_bytes() == b"old weights"


def _promote_with_little_space(settings: Settings, checkpoint_id: str, instead_of: str) -> None:
    """In a process that may write no file above 64 kB: what a full disk does, at the same calls."""
    with Store.open(settings) as store:
        candidate = checkpoints.get(store, checkpoint_id)
        resource = importlib.import_module("resource")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
        try:
            _promote(store, candidate, instead_of)
        except DiskFull:
            sys.exit(28)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_disk_that_fills_up_while_publishing_changes_nothing(store):
    baseline, large = _checkpoint(store, b"old weights"), _checkpoint(store, bytes(200_000))
    _promote(store, baseline, None)
    before = sorted((path.name, path.read_bytes()) for path in store.settings.weights_dir.glob("*.*"))
    process = multiprocessing.get_context("spawn").Process(
        target=_promote_with_little_space, args=(store.settings, large.id, baseline.id)
    )
    process.start()
    process.join()
    assert process.exitcode == 28
    assert sorted((path.name, path.read_bytes()) for path in store.settings.weights_dir.glob("*.*")) == before
    assert publish.champion(store).id == baseline.id
    assert _promote(store, large, baseline.id)


def test_files_of_a_replacement_change_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old a")
    with Replacement() as new:
        new.add_text(tmp_path / "a", "new a", "a")
        with pytest.raises(FileNotFoundError):
            new.add_copy(tmp_path / "b", tmp_path / "nothing", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old a"


def test_scores_are_kept_by_run_checkpoint_and_set(store):
    from core.trainer import accept

    with store.database.write() as session:
        run_id = accept(
            session, request({"image_url": "http://x/a", "detections": []}), source="t", actor="t"
        ).id
    checkpoint = _checkpoint(store, b"weights")
    score = Score(set_name="test", set_digest="d", image_count=1, metrics={"fitness": 0.5}, per_class=())
    checkpoints.record_score(store, run_id, checkpoint.id, score)
    checkpoints.record_score(store, run_id, checkpoint.id, score)
    assert checkpoints.score_of(store, run_id, checkpoint.id, "test") == score
    assert len(checkpoints.evaluations_of(store, run_id)) == 1
    with pytest.raises(NotFound):
        checkpoints.score_of(store, run_id, checkpoint.id, "holdout")
