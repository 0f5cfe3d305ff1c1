"""What the judge keeps, without a model: detections are written by hand."""

import numpy as np
import pytest
import sqlalchemy as sa

from core.dataset import frozen_sets
from core.dataset.images import ImageSet, Label, LabelledImage
from core.errors import BlobDamaged, DifferentSets, NotFound
from core.evaluation.detections import Detections, Truth
from core.evaluation.figures import figures_of
from core.evaluation.metrics import Score
from core.registry import checkpoints, comparisons, evaluations, scoring, verdicts
from core.store import Store
from core.store.tables import Comparison, Evaluation
from core.trainer import accept
from tests.factories import CLASS_NAMES, make_settings, request
from tests.unit.registry.factories import promote, register

SIZE = 64


def make_set(name="test", count=40, group_of=str):
    label = Label(class_id=0, center_x=0.5, center_y=0.5, width=0.5, height=0.5)
    images = [
        LabelledImage(
            path=f"{name}-{n}.jpg",
            sha256=f"{len(name):032x}{n:032x}",
            width_px=100,
            height_px=100,
            labels=(label,),
            group=group_of(n),
        )
        for n in range(count)
    ]
    return ImageSet(name=name, images=tuple(images))


def seen_in(images, found_share=1.0, looseness_px=0.0):
    """A model that finds the first share of the boxes, moved by some pixels."""
    box = (25 + looseness_px, 25, 75 + looseness_px, 75)
    found = round(found_share * len(images.images))
    rows = [[(*box, 0.9, 0)] if n < found else [] for n in range(len(images.images))]
    return Detections.of(images.digest, rows)


def record(store, checkpoint, images, run_id=None, **seen):
    detections = seen_in(images, **seen)
    figures = figures_of(Truth.of(images), detections, class_names=CLASS_NAMES, confidence=0.25)
    score = Score(
        set_name=images.name,
        set_digest=images.digest,
        image_count=len(images.images),
        metrics={"fitness": 0.5},
        per_class=(),
    )
    return evaluations.record(
        store,
        checkpoint.id,
        score,
        image_size=SIZE,
        figures=figures,
        detections=detections,
        run_id=run_id,
    )


def make_run(store, parent_id, **asked):
    with store.database.write() as session:
        run = accept(
            session, request({"image_url": "http://x/a", "detections": []}, **asked), source="t", actor="t"
        )
        run.parent_id = parent_id
        return run


@pytest.fixture
def pair(store):
    return register(store, b"old"), register(store, b"new")


def _keep(store, images, old, new, run_id=None):
    return comparisons.keep(store, Truth.of(images), old, new, CLASS_NAMES, run_id)


def _count(store, table):
    with store.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table))


def test_scores_are_kept_by_run_checkpoint_and_set(any_store):
    store, images = any_store, make_set()
    checkpoint = register(store, b"weights")
    run_id = make_run(store, checkpoint.id).id
    first = record(store, checkpoint, images, run_id, found_share=0.5)
    again = record(store, checkpoint, images, run_id)
    assert [row.id for row in evaluations.evaluations_of(store, run_id)] == [again.id]
    assert evaluations.score_of(store, run_id, checkpoint.id, "test").set_digest == images.digest
    with pytest.raises(BlobDamaged):
        evaluations.detections_of(store, first)
    with pytest.raises(NotFound):
        evaluations.score_of(store, run_id, checkpoint.id, "holdout")


def test_raw_detections_are_read_as_they_were_written(store, pair):
    images = make_set()
    kept = evaluations.detections_of(store, record(store, pair[0], images, looseness_px=3.3))
    np.testing.assert_array_equal(kept.xyxy, seen_in(images, looseness_px=3.3).xyxy)


def test_only_a_score_on_exactly_this_set_at_this_size_is_found(store, pair):
    images = make_set()
    row = record(store, pair[0], images)
    assert evaluations.find(store, pair[0].id, images.digest, SIZE).id == row.id
    assert evaluations.find(store, pair[0].id, images.digest, 2 * SIZE) is None
    assert evaluations.find(store, pair[0].id, make_set(count=41).digest, SIZE) is None
    assert evaluations.find(store, pair[1].id, images.digest, SIZE) is None


def test_figures_are_made_again_at_another_deploy_threshold(tmp_path):
    images = make_set()
    with Store.open(make_settings(tmp_path)) as store:
        frozen_sets.freeze(store, images)
        row = record(store, register(store, b"weights"), images)
        assert scoring.figures(store, row).overall.recall == 1
    with Store.open(make_settings(tmp_path, deploy_confidence=0.95)) as store:
        again = scoring.figures(store, row)
    assert (again.confidence, again.overall.recall, again.overall.ap50) == (0.95, 0, 1)


def test_a_comparison_is_kept_once_with_its_images(any_store):
    store, images = any_store, make_set()
    old, new = register(store, b"old"), register(store, b"new")
    scores = record(store, old, images), record(store, new, images, found_share=0.9)
    row = _keep(store, images, *scores)
    assert _keep(store, images, *scores).id == row.id
    change = comparisons.changes_of(row).overall.recall
    assert (change.old, change.new) == (1, 0.9)
    lost = comparisons.images_of(store, row.id)
    assert [one.sha256 for one in lost] == [image.sha256 for image in images.images[36:]]
    with pytest.raises(NotFound):
        comparisons.images_of(store, "comparison-0")


def test_scores_on_different_sets_are_never_compared(store, pair):
    small, grown = make_set("holdout", 30), make_set("holdout", 31)
    with pytest.raises(DifferentSets):
        _keep(store, grown, record(store, pair[0], small), record(store, pair[1], grown))
    assert _count(store, Comparison) == 0


def test_nothing_is_left_of_a_discarded_candidate_but_what_others_share(store, pair):
    images, (old, new) = make_set(), pair
    shared = record(store, old, images)
    row = _keep(store, images, shared, record(store, new, images, found_share=0.5))
    twin = record(store, new, images)
    assert twin.detections_sha256 == shared.detections_sha256
    assert checkpoints.discard(store, new.id)
    assert (_count(store, Evaluation), _count(store, Comparison)) == (1, 0)
    assert len(evaluations.detections_of(store, shared)) == 40
    with pytest.raises(BlobDamaged):
        store.blobs.get(row.images_sha256)


def _judged(store, pair, *, base=None, holdout=None, promotion="no_regression"):
    """A run whose candidate was scored beside its champion; `base` and `holdout` are what it saw there."""
    old, new = pair
    run = make_run(store, old.id, promotion=promotion)
    for name, seen in (("test", base or {}), ("holdout", holdout)):
        if seen is not None:
            images = make_set(name)
            scores = (
                record(store, old, images, run.id, looseness_px=5),
                record(store, new, images, run.id, **seen),
            )
            _keep(store, images, *scores, run.id)
    return run


@pytest.mark.parametrize(
    ("base", "holdout", "verdict", "publishes"),
    [
        ({"looseness_px": 5}, {}, "pass", True),
        ({"looseness_px": 5}, None, "not_enough_evidence", True),
        ({"looseness_px": 15}, {}, "fail", False),
        ({}, {"looseness_px": 10}, "fail", False),
    ],
)
def test_the_verdict_on_a_run(store, pair, base, holdout, verdict, publishes):
    decision = verdicts.verdict_on(store, _judged(store, pair, base=base, holdout=holdout))
    assert (decision.verdict, decision.publishes) == (verdict, publishes)


def test_the_policy_of_the_run_decides_what_is_published(store, pair):
    run = _judged(store, pair, base={"looseness_px": 5}, promotion="proven_gain")
    assert not verdicts.verdict_on(store, run).publishes


def _much_worse_than_the_first(store):
    """A run, its champion, and its candidate: a little worse than that, much worse than the first."""
    first, second, third = (register(store, content) for content in (b"1", b"2", b"3"))
    promote(store, first, None)
    promote(store, second, first.id)
    images = make_set()
    run = make_run(store, second.id)
    candidate = record(store, third, images, run.id, looseness_px=6)
    for baseline, looseness in ((second, 5.5), (first, 1)):
        before = record(store, baseline, images, run.id, looseness_px=looseness)
        _keep(store, images, before, candidate, run.id)
    return run, second, third


def test_a_candidate_is_held_against_earlier_champions_too(store):
    run, _, _ = _much_worse_than_the_first(store)
    decision = verdicts.verdict_on(store, run)
    assert (decision.verdict, decision.publishes) == ("fail", False)
    assert "Against the baseline" in decision.reason


def test_a_pair_that_was_compared_before_is_known_and_its_newest_sets_count(store, pair):
    assert verdicts.known(store, *(one.id for one in pair)) is None
    for count in (30, 40):
        images = make_set(count=count)
        _keep(store, images, record(store, pair[0], images), record(store, pair[1], images))
    known = verdicts.known(store, *(one.id for one in pair))
    assert [comparisons.changes_of(row).image_count for row in known.comparisons] == [40]
    assert known.decision.verdict == "not_enough_evidence"
    assert verdicts.known(store, pair[1].id, pair[0].id) is None


def test_pairs_that_were_compared_are_listed_once_the_last_first(any_store):
    store, images = any_store, make_set()
    old, new, other = (register(store, content) for content in (b"old", b"new", b"other"))
    assert comparisons.recent_pairs(store, limit=9) == []
    old_score, new_score, other_score = (record(store, one, images) for one in (old, new, other))
    _keep(store, images, old_score, new_score)
    _keep(store, images, old_score, other_score)
    grown = make_set(count=41)
    last = _keep(store, grown, record(store, old, grown), record(store, new, grown))
    found = comparisons.recent_pairs(store, limit=9)
    assert [(one.baseline_id, one.candidate_id) for one in found] == [(old.id, new.id), (old.id, other.id)]
    assert found[0].compared_at == last.created_at
    assert comparisons.recent_pairs(store, limit=1) == found[:1]
    assert comparisons.recent_pairs(store, limit=9, candidate_id=other.id) == found[1:]


def test_the_scores_of_a_comparison_are_found_as_long_as_they_are_kept(store, pair):
    images = make_set()
    scores = tuple(record(store, one, images) for one in pair)
    row = _keep(store, images, *scores)
    assert [one.id for one in comparisons.scores_of(store, row)] == [one.id for one in scores]
    with store.database.write() as session:
        session.execute(sa.delete(Evaluation).where(Evaluation.id == scores[0].id))
    assert comparisons.scores_of(store, row) is None


def test_a_pair_that_a_run_compared_has_the_verdict_of_the_run(store):
    run, second, third = _much_worse_than_the_first(store)
    known = verdicts.known(store, second.id, third.id)
    assert known.decision.reason == verdicts.verdict_on(store, run).reason
    assert known.decision.verdict == "fail"
