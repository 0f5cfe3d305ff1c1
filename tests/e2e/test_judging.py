"""The judge with real weights: what it keeps, what it looks back at, and how doors compare."""

import shutil
import sys

import pytest
import sqlalchemy as sa

from core import run_finetune
from core.dataset import frozen_sets, pins, revision
from core.dataset.base_set import read_base_set
from core.errors import CheckpointDamaged, ImageJudges, NotFound, SeparateWorkFailed
from core.jobs import comparing
from core.registry import checkpoints, comparisons, evaluations, publish, scoring, verdicts
from core.store import Store, runs
from core.store.tables import Evaluation, Sample
from tests.api.product import run_python
from tests.factories import write_base_set


def _scores(store):
    query = sa.select(Evaluation.checkpoint_id, Evaluation.set_name, Evaluation.run_id)
    with store.database.read() as session:
        return [tuple(row) for row in session.execute(query.order_by(Evaluation.id))]


def _revision(store, run_id):
    return revision.recorded(store, runs.get_row(store, run_id).dataset_digest)


def test_what_runs_were_judged_by_is_kept_and_a_door_compares_any_two(product, feedback):
    first = run_finetune(feedback(), settings=product)
    with Store.open(product) as store:
        baseline = publish.ledger(store)[-1].checkpoint_id
        _is_kept(store, first)
        # As intake decides from the fiftieth approved sample on.
        with store.database.write() as session:
            session.scalars(sa.select(Sample).order_by(Sample.id)).first().is_holdout = True
    second = run_finetune(feedback(count=2, seed=5), settings=product)
    with Store.open(product) as store:
        _looks_back(store, baseline, first, second)
        before = len(_scores(store))
        again = comparing.compare(store, first.checkpoint_id, second.checkpoint_id)
        assert (again.decision.verdict, again.decision.publishes) == ("not_enough_evidence", False)
        assert len(_scores(store)) == before
        write_base_set(product.annotated_dataset_root, images={"train": 6, "valid": 4, "test": 5})
        told = []
        judged = comparing.compare(store, baseline, second.checkpoint_id, say=told.append)
        # On a grown test set both anew, on the holdout only who was not scored on it by a run.
        assert len(_scores(store)) == before + 3
        assert sum("Scoring" in step for step in told) == 3
        assert [comparisons.changes_of(row).image_count for row in judged.comparisons] == [5, 1]
        assert verdicts.known(store, baseline, second.checkpoint_id).decision == judged.decision
    assert "torch" not in _loaded_by_a_door(product, baseline, second.checkpoint_id)


def _is_kept(store, summary):
    (judged,) = summary.judged_on
    assert (judged.set_name, judged.image_count, judged.group_count) == ("test", 4, 4)
    frozen = _revision(store, summary.run_id)
    assert judged.set_digest == frozen.test.digest
    assert frozen_sets.frozen(store, judged.set_digest).digest == judged.set_digest
    assert frozen_sets.judged_sha256(store) >= {image.sha256 for image in frozen.test.images}
    row = evaluations.evaluation_of(store, summary.run_id, summary.checkpoint_id, "test")
    assert evaluations.detections_of(store, row).image_count == scoring.figures(store, row).image_count == 4
    assert row.metrics == summary.metrics
    assert comparisons.images_of(store, judged.comparison_id) is not None


def _looks_back(store, baseline, first, second):
    """The champion is scored again, on the test set and the new holdout; the baseline is known and is not."""
    assert [judged.set_name for judged in second.judged_on] == ["test", "holdout"]
    rows = comparisons.of_run(store, second.run_id)
    assert {row.baseline_id for row in rows if row.set_name == "test"} == {first.checkpoint_id, baseline}
    scored = [(checkpoint, name) for checkpoint, name, run in _scores(store) if run == second.run_id]
    assert sorted(scored) == sorted(
        (checkpoint, name)
        for checkpoint in (first.checkpoint_id, second.checkpoint_id)
        for name in ("test", "holdout")
    )
    assert [run for checkpoint, _, run in _scores(store) if checkpoint == baseline] == [first.run_id]


def _loaded_by_a_door(product, old, new):
    code = (
        "import sys; from core.jobs import comparing; from core.store import Store\n"
        f"with Store.open() as store: comparing.compare(store, {old!r}, {new!r})\n"
        "print(' '.join(sys.modules))"
    )
    return run_python(product, "-c", code).split()


def test_what_goes_wrong_while_a_door_compares_is_told_and_a_discarded_candidate_leaves_no_evidence(
    product, feedback, monkeypatch
):
    summary = run_finetune(feedback(promotion="manual"), settings=product)
    write_base_set(product.annotated_dataset_root, images={"train": 6, "valid": 4, "test": 5})
    with Store.open(product) as store:
        with pytest.raises(NotFound):
            comparing.compare(store, summary.champion_id, "ckpt-0")
        with monkeypatch.context() as python_dies:
            python_dies.setattr(sys, "executable", shutil.which("false"))
            with pytest.raises(SeparateWorkFailed, match="exit status 1"):
                comparing.compare(store, summary.champion_id, summary.checkpoint_id)
        candidate = checkpoints.get(store, summary.checkpoint_id)
        checkpoints.weights_path(store, candidate.id).write_bytes(b"spoiled")
        store.blobs.delete(candidate.sha256)
        with pytest.raises(CheckpointDamaged, match="Restore the file from a backup"):
            comparing.compare(store, summary.champion_id, candidate.id)
        assert checkpoints.discard(store, candidate.id)
        assert comparisons.of_run(store, summary.run_id) == []
        left = {row.checkpoint_id for row in evaluations.evaluations_of(store, summary.run_id)}
        assert left == {summary.champion_id}


def test_pinned_images_are_always_replayed_and_those_that_judged_never(product, feedback):
    root = product.annotated_dataset_root
    with Store.open(product) as store:
        pins.pin(store, read_base_set(root).train.images[2].sha256, actor="anna", reason="it is lost")
    first = run_finetune(feedback(train_replay=0), settings=product)
    assert (first.replay_samples, first.dataset_size) == (1, 4)
    moved = min((root / "test" / "images").iterdir())
    for part, name in (("images", moved.name), ("labels", f"{moved.stem}.txt")):
        (root / "test" / part / name).rename(root / "train" / part / name)
    told = []
    second = run_finetune(
        feedback(count=1, train_replay=100),
        settings=product,
        on_progress=lambda _, payload: told.append(str(payload.get("phase"))),
    )
    with Store.open(product) as store:
        before, after = (_revision(store, one.run_id) for one in (first, second))
        (has_judged,) = {image.sha256 for image in before.test.images} - {
            image.sha256 for image in after.test.images
        }
        assert has_judged not in {image.sha256 for image in after.replay_pool}
        with pytest.raises(ImageJudges):
            pins.pin(store, has_judged, actor="anna")
    assert any("have judged" in phase for phase in told)
