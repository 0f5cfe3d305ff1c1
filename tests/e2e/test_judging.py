"""The judge with real weights: what it keeps, what it looks back at, and how doors compare."""

import shutil
import sys

import pytest
import sqlalchemy as sa

from core import run_finetune
from core.dataset import frozen_sets, pins
from core.dataset.base_set import read_base_set
from core.dataset.revision import DatasetRevision
from core.errors import ImageJudges, NotFound, SeparateWorkFailed
from core.jobs import comparing
from core.registry import checkpoints, comparisons, evaluations, publish, scoring, verdicts
from core.store import Store
from core.store.tables import Evaluation, Run, Sample
from tests.factories import write_base_set


def _scores(store):
    query = sa.select(Evaluation.checkpoint_id, Evaluation.set_name, Evaluation.run_id)
    with store.database.read() as session:
        return [tuple(row) for row in session.execute(query.order_by(Evaluation.id))]


def _revision(store, run_id):
    return DatasetRevision.load(store.settings.dataset_folder(run_id))


def test_a_run_keeps_what_it_was_judged_by(product, feedback):
    summary = run_finetune(feedback(), settings=product)
    (judged,) = summary.judged_on
    assert (judged.set_name, judged.image_count, judged.group_count) == ("test", 4, 4)
    with Store.open(product) as store:
        frozen = _revision(store, summary.run_id)
        assert judged.set_digest == frozen.test.digest
        assert frozen_sets.frozen(store, judged.set_digest).digest == judged.set_digest
        assert frozen_sets.judged_sha256(store) >= {image.sha256 for image in frozen.test.images}
        row = evaluations.evaluation_of(store, summary.run_id, summary.checkpoint_id, "test")
        assert evaluations.detections_of(store, row).image_count == 4
        assert scoring.figures(store, row).image_count == 4
        assert row.metrics == summary.metrics
        assert comparisons.images_of(store, judged.comparison_id) is not None


def test_a_candidate_is_held_against_the_baseline_and_a_grown_holdout_scores_the_champion_again(
    product, feedback
):
    first = run_finetune(feedback(), settings=product)
    with Store.open(product) as store:
        baseline = publish.ledger(store)[-1].checkpoint_id
        # As intake decides from the fiftieth approved sample on.
        with store.database.write() as session:
            sample = session.scalars(sa.select(Sample).order_by(Sample.id)).first()
            sample.is_holdout = True
    second = run_finetune(feedback(count=2, seed=5), settings=product)
    assert [judged.set_name for judged in second.judged_on] == ["test", "holdout"]
    with Store.open(product) as store:
        rows = comparisons.of_run(store, second.run_id)
        assert {row.baseline_id for row in rows if row.set_name == "test"} == {first.checkpoint_id, baseline}
        scored = [(checkpoint, name) for checkpoint, name, run in _scores(store) if run == second.run_id]
        assert set(scored) == {
            (checkpoint, name)
            for checkpoint in (first.checkpoint_id, second.checkpoint_id)
            for name in ("test", "holdout")
        }
        # The baseline was scored on this set by the first run, and is not scored again.
        assert [run for checkpoint, _, run in _scores(store) if checkpoint == baseline] == [first.run_id]
        assert "is kept" not in second.verdict_reason


def test_a_door_compares_any_two_and_scores_only_what_is_missing(product, feedback):
    first = run_finetune(feedback(), settings=product)
    second = run_finetune(feedback(count=2, seed=5), settings=product)
    with Store.open(product) as store:
        baseline = publish.ledger(store)[-1].checkpoint_id
        before = len(_scores(store))
        again = comparing.compare(store, first.checkpoint_id, second.checkpoint_id)
        assert len(_scores(store)) == before
        assert again.decision.verdict == "not_enough_evidence"
        assert not again.decision.publishes
        shutil.rmtree(product.annotated_dataset_root)
        write_base_set(product.annotated_dataset_root, images={"train": 6, "valid": 4, "test": 5})
        told = []
        judged = comparing.compare(store, baseline, second.checkpoint_id, say=told.append)
        assert len(_scores(store)) == before + 2
        assert sum("Scoring" in step for step in told) == 2
        assert [comparisons.changes_of(row).image_count for row in judged.comparisons] == [5]
        assert verdicts.known(store, baseline, second.checkpoint_id).decision == judged.decision
    assert "torch" not in _loaded_by_a_door(product, baseline, second.checkpoint_id)


def _loaded_by_a_door(product, old, new):
    code = (
        "import sys; from core.jobs import comparing; from core.store import Store\n"
        f"with Store.open() as store: comparing.compare(store, {old!r}, {new!r})\n"
        "print(' '.join(sys.modules))"
    )
    from tests.e2e.test_real_images import run_python

    return run_python(product, "-c", code).split()


def test_what_goes_wrong_while_a_door_compares_is_told(product, feedback):
    first = run_finetune(feedback(promotion="manual"), settings=product)
    with Store.open(product) as store:
        with pytest.raises(NotFound):
            comparing.compare(store, first.champion_id, "ckpt-0")
        shutil.rmtree(product.annotated_dataset_root / "test")
        shutil.rmtree(product.annotated_dataset_root / "valid")
        write_base_set(product.annotated_dataset_root, images={"train": 6, "valid": 4, "test": 5})
        candidate = checkpoints.get(store, first.checkpoint_id)
        checkpoints.weights_path(store, candidate.id).write_bytes(b"spoiled")
        store.blobs.delete(candidate.sha256)
        with pytest.raises(Exception, match="Restore the file from a backup") as raised:
            comparing.compare(store, first.champion_id, candidate.id)
        assert raised.value.code == "checkpoint_damaged"


def test_a_process_that_dies_is_told_with_its_last_words(product, feedback, monkeypatch):
    first = run_finetune(feedback(promotion="manual"), settings=product)
    write_base_set(product.annotated_dataset_root, images={"train": 6, "valid": 4, "test": 5})
    with Store.open(product) as store:
        monkeypatch.setattr(sys, "executable", shutil.which("false"))
        with pytest.raises(SeparateWorkFailed, match="exit status 1"):
            comparing.compare(store, first.champion_id, first.checkpoint_id)


def test_what_has_judged_is_not_learned_from_when_it_moves_to_train(product, feedback):
    first = run_finetune(feedback(), settings=product)
    root = product.annotated_dataset_root
    moved = min((root / "test" / "images").iterdir())
    for part, suffix in (("images", ".jpg"), ("labels", ".txt")):
        name = f"{moved.stem}{suffix}"
        (root / "test" / part / name).rename(root / "train" / part / name)
    told = []
    second = run_finetune(
        feedback(count=1, train_replay=100),
        settings=product,
        on_progress=lambda kind, payload: told.append(payload),
    )
    with Store.open(product) as store:
        moved_sha256 = {image.sha256 for image in _revision(store, first.run_id).test.images} - {
            image.sha256 for image in _revision(store, second.run_id).test.images
        }
        pool = {image.sha256 for image in _revision(store, second.run_id).replay_pool}
        assert len(moved_sha256) == 1
        assert not moved_sha256 & pool
        with pytest.raises(ImageJudges):
            pins.pin(store, moved_sha256.pop(), actor="anna")
    assert any("have judged" in str(payload.get("phase")) for payload in told)


def test_a_pinned_image_is_replayed_by_a_run_that_asks_for_no_replay(product, feedback):
    base = read_base_set(product.annotated_dataset_root)
    with Store.open(product) as store:
        pins.pin(store, base.train.images[2].sha256, actor="anna", reason="it is being forgotten")
    summary = run_finetune(feedback(train_replay=0), settings=product)
    assert (summary.replay_samples, summary.dataset_size) == (1, 4)


def test_a_candidate_that_is_discarded_leaves_no_evidence(product, feedback):
    summary = run_finetune(feedback(promotion="manual"), settings=product)
    with Store.open(product) as store:
        with store.database.write() as session:
            session.get(Run, summary.run_id).checkpoint_id = None
        assert checkpoints.discard(store, summary.checkpoint_id)
        assert comparisons.of_run(store, summary.run_id) == []
        assert [row.checkpoint_id for row in evaluations.evaluations_of(store, summary.run_id)] == [
            summary.champion_id
        ]
