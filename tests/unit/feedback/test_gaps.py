import pytest
from hypothesis import given

from core.errors import NotFound
from core.feedback import corrections, disagreement, gaps
from core.feedback.disagreement import NOTHING_THERE_IOU, SAME_PLACE_IOU
from core.feedback.overlap import iou_matrix
from core.store.ids import new_id
from core.store.tables import Batch, Correction, Disagreement, Prediction, Sample, SampleClass, SampleVerdict
from tests.unit.feedback.test_disagreement import HUMAN, PREDICTED, drawn, seen
from tests.unit.registry.factories import register

POSTED = [drawn((0, 0, 20, 20))]
SEEN = [seen((1, 1, 20, 20), 0, 0.9), seen((40, 0, 60, 20), 1, 0.8), seen((0, 30, 20, 48), 2, 0.5)]


@pytest.fixture
def champion(any_store):
    return register(any_store, b"weights")


@pytest.fixture
def sample(any_store, champion):
    """Makes a sample with one box, of which the champion sees that, another, and one it is unsure of."""

    def make(status="pending", predicted=SEEN, fills_gaps=False, **more):
        blob = new_id("blob")
        with any_store.database.write() as session:
            batch = Batch(
                id=new_id("batch"),
                source="api",
                actor="feed",
                champion_id=champion.id,
                fills_gaps=fills_gaps,
                is_trusted=status == "approved",
            )
            session.add(batch)
            if predicted is not None:
                session.add(Prediction(checkpoint_id=champion.id, blob_sha256=blob, detections=predicted))
            session.flush()
            facts = {"position": 0, "image_url": "http://x/1", "posted": [], "blob_sha256": blob}
            sample = Sample(id=new_id("sample"), batch_id=batch.id, status=status, **(facts | more))
            session.add(sample)
            session.flush()
            corrections.add(session, sample, POSTED, "feed")
        return sample.id

    return make


def versions(store, sample_id):
    with store.database.read() as session:
        rows = session.query(Correction).filter_by(sample_id=sample_id).order_by(Correction.version)
        return [(row.author, row.detections) for row in rows]


def fill_if_asked(store, sample_id):
    with store.database.write() as session:
        gaps.fill_if_asked(session, session.get_one(Sample, sample_id))


@given(HUMAN, PREDICTED)
def test_human_boxes_rule_and_no_place_is_filled_twice(human, predicted):
    found = gaps.found_in(human, predicted, 0.6)
    places = [box["xyxy"] for box in found]
    assert (iou_matrix(places, [box["xyxy"] for box in human]) < NOTHING_THERE_IOU).all()
    among_themselves = iou_matrix(places, places)
    assert ((among_themselves >= SAME_PLACE_IOU).sum(axis=0) == 1).all()
    assert all(box["confidence"] >= 0.6 and box["origin"] == "champion" for box in found)
    assert gaps.found_in([*human, *found], predicted, 0.6) == []


@given(PREDICTED)
def test_where_nobody_drew_anything_the_surest_of_each_place_is_added(predicted):
    sure = [box for box in predicted if box["confidence"] >= 0.6]
    found = gaps.found_in([], predicted, 0.6)
    assert bool(found) == bool(sure)
    for box in sure:
        rivals = [one for one in found if iou_matrix([one["xyxy"]], [box["xyxy"]])[0, 0] >= SAME_PLACE_IOU]
        assert max(one["confidence"] for one in rivals) >= box["confidence"]


def test_a_gap_is_filled_once_and_the_box_tells_where_it_comes_from(any_store, sample):
    sample_id = sample()
    (filled,) = gaps.fill_gaps(any_store, [sample_id], "ada")
    assert (filled.added, filled.version, filled.reason) == (1, 2, None)
    added = {"xyxy": [40, 0, 60, 20], "class_id": 1, "confidence": 0.8, "origin": "champion"}
    assert versions(any_store, sample_id) == [("feed", POSTED), ("ada", [*POSTED, added])]
    (again,) = gaps.fill_gaps(any_store, [sample_id], "ada")
    assert (again.added, again.version) == (0, None)
    assert "Nothing to add" in again.reason
    with any_store.database.read() as session:
        assert session.get_one(Sample, sample_id).revision == 2
        assert {row.class_id for row in session.query(SampleClass).filter_by(sample_id=sample_id)} == {0, 1}


def test_a_lower_confidence_adds_more(any_store, sample):
    (filled,) = gaps.fill_gaps(any_store, [sample()], "ada", 0.5)
    assert filled.added == 2


@pytest.mark.parametrize(
    ("made", "reason"),
    [({"status": "approved"}, "Open it again"), ({"predicted": None}, "has not looked at it yet")],
)
def test_what_cannot_be_filled_says_why_and_does_not_hold_up_the_others(any_store, sample, made, reason):
    unfit, fit = sample(**made), sample()
    first, second = gaps.fill_gaps(any_store, [unfit, fit], "ada")
    assert (first.sample_id, first.added, second.added) == (unfit, 0, 1)
    assert reason in first.reason
    assert len(versions(any_store, unfit)) == 1


def test_one_unknown_sample_and_nothing_is_filled(any_store, sample):
    sample_id = sample()
    with pytest.raises(NotFound, match="sample-none"):
        gaps.fill_gaps(any_store, [sample_id, "sample-none"], "ada")
    assert len(versions(any_store, sample_id)) == 1


def test_a_batch_that_asks_for_it_is_filled_by_the_system_once(any_store, sample):
    sample_id = sample(fills_gaps=True)
    for _ in range(2):
        fill_if_asked(any_store, sample_id)
    assert [author for author, _ in versions(any_store, sample_id)] == ["feed", "system"]


@pytest.mark.parametrize("made", [{"fills_gaps": False}, {"is_holdout": True}, {"status": "rejected"}])
def test_without_the_wish_in_the_holdout_and_once_rejected_nothing_is_filled(any_store, sample, made):
    sample_id = sample(**({"fills_gaps": True} | made))
    fill_if_asked(any_store, sample_id)
    assert len(versions(any_store, sample_id)) == 1


def test_what_a_person_has_corrected_or_decided_on_is_not_filled_behind_his_back(any_store, sample):
    corrected, approved, by_itself = (sample(status, fills_gaps=True) for status in
                                      ("pending", "approved", "approved"))  # fmt: skip
    with any_store.database.write() as session:
        corrections.add(session, session.get_one(Sample, corrected), [], "ada")
        for sample_id, actor in ((approved, "ada"), (by_itself, "system")):
            session.add(
                SampleVerdict(id=new_id("verdict"), sample_id=sample_id, decision="approved", actor=actor)
            )
    for sample_id in (corrected, approved, by_itself):
        fill_if_asked(any_store, sample_id)
    authors = [versions(any_store, one)[-1][0] for one in (corrected, approved, by_itself)]
    assert authors == ["ada", "feed", "system"]


def test_a_correction_is_compared_anew(any_store, sample, champion):
    sample_id = sample()
    with any_store.database.write() as session:
        row = session.get_one(Sample, sample_id)
        before = disagreement.refresh(session, row)
        corrections.add(session, row, [drawn(box["xyxy"], box["class_id"]) for box in SEEN], "ada")
        assert disagreement.refresh(session, row) == 0 < before
    with any_store.database.read() as session:
        kept = session.get_one(Disagreement, (sample_id, champion.id))
        assert (kept.score, kept.differences) == (0, [])
        assert session.get_one(Sample, sample_id).disagreement == 0


def test_without_a_look_at_the_image_there_is_no_score(any_store, sample):
    sample_id = sample(predicted=None)
    with any_store.database.write() as session:
        assert disagreement.refresh(session, session.get_one(Sample, sample_id)) is None
