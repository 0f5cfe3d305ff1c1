"""Partly labelled feedback: boxes that the champion is sure of, added where nobody drew one.

Never unseen: a person asks for it and has the sample to review before him, or whoever posted the batch asked
for it. Each box that is added says where it comes from.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.config import GAP_CONFIDENCE
from core.errors import NotFound
from core.feedback import corrections, disagreement, predictions
from core.feedback.boxes import PredictedDetection, StoredDetection, is_drawn
from core.feedback.disagreement import NOTHING_THERE_IOU, SAME_PLACE_IOU
from core.feedback.overlap import iou_matrix
from core.schemas import FilledSample
from core.store import Store
from core.store.tables import Batch, Sample, SampleVerdict

_SYSTEM = "system"
_NOT_PENDING = "It is {status}: only a sample that waits for review is filled. Open it again first."
_NOT_LOOKED_AT = "The champion has not looked at it yet. Try again in a minute."
_NO_GAP = "Nothing to add: nobody left out what the champion is sure of."


def fill_gaps(
    store: Store, sample_ids: Sequence[str], actor: str, min_confidence: float = GAP_CONFIDENCE
) -> list[FilledSample]:
    """Fill the gaps of samples that wait for review, all in one transaction.

    Args:
        store: Where they are.
        sample_ids: Which.
        actor: Who asked for it: the author of the new versions.
        min_confidence: How sure the champion has to be, from `LOWEST_CONFIDENCE` to 1.

    Returns:
        What became of each, in the given order.

    Raises:
        NotFound: If there is no such sample; nothing is changed then.
    """
    with store.database.write() as session:
        samples = _locked(session, sample_ids)
        return [_fill_pending(session, samples[one], actor, min_confidence) for one in sample_ids]


def batches_to_fill(store: Store, batch_id: str | None) -> list[str]:
    """The batches that were posted with that wish and that the champion has yet to look at.

    Args:
        store: Where they are.
        batch_id: Only this one; all of them when left out.
    """
    is_waiting = Batch.fills_gaps & Batch.taken_in_at.is_not(None) & Batch.predicted_at.is_(None)
    query = sa.select(Batch.id).where(is_waiting).order_by(Batch.id)
    with store.database.read() as session:
        return list(session.scalars(query.where(Batch.id == batch_id) if batch_id else query))


def fill_if_asked(session: Session, sample: Sample) -> None:
    """Fill the gaps of a sample if its batch was posted with that wish, in the caller's transaction.

    Left as they are: boxes that somebody has corrected, samples that a person has decided on, and the
    holdout, where the champion would be judged by its own boxes.
    """
    if not session.get_one(Batch, sample.batch_id).fills_gaps or sample.is_holdout:
        return
    newest = corrections.newest_of(session, sample.id)
    if newest and newest.version == 1 and _is_undecided(session, sample):
        _fill(session, sample, _SYSTEM, GAP_CONFIDENCE)


def found_in(
    boxes: Sequence[StoredDetection], predicted: Sequence[PredictedDetection], min_confidence: float
) -> list[StoredDetection]:
    """What the champion is sure of where nobody drew anything, surest first.

    What people drew rules: a predicted box that touches a drawn one by more than a trifle, of whatever class,
    is not added. Among those that are added the surest of one place stays.

    Args:
        boxes: Of the sample now, with those that were added before.
        predicted: What the champion sees.
        min_confidence: How sure it has to be.
    """
    drawn = [box["xyxy"] for box in boxes if is_drawn(box)]
    added = [box["xyxy"] for box in boxes if not is_drawn(box)]
    found: list[StoredDetection] = []
    for seen in sorted(predicted, key=lambda seen: -seen["confidence"]):
        place = [seen["xyxy"]]
        is_sure = seen["confidence"] >= min_confidence
        is_touched = (iou_matrix(place, drawn) >= NOTHING_THERE_IOU).any()
        is_added = (iou_matrix(place, added) >= SAME_PLACE_IOU).any()
        if is_sure and not is_touched and not is_added:
            found.append({**seen, "origin": "champion"})
            added.append(seen["xyxy"])
    return found


def _locked(session: Session, sample_ids: Sequence[str]) -> dict[str, Sample]:
    # In one order, so that two who fill the same samples cannot wait for each other.
    query = sa.select(Sample).where(Sample.id.in_(sample_ids)).order_by(Sample.id).with_for_update()
    found = {sample.id: sample for sample in session.scalars(query)}
    unknown = [sample_id for sample_id in sample_ids if sample_id not in found]
    if unknown:
        raise NotFound(f"There is no sample {unknown[0]}. Nothing was filled.")
    return found


def _fill_pending(session: Session, sample: Sample, actor: str, min_confidence: float) -> FilledSample:
    if sample.status != "pending":
        return _unfilled(sample, _NOT_PENDING.format(status=sample.status))
    if predictions.of_sample(session, sample) is None:
        return _unfilled(sample, _NOT_LOOKED_AT)
    return _fill(session, sample, actor, min_confidence)


def _is_undecided(session: Session, sample: Sample) -> bool:
    by_person = sa.select(SampleVerdict.id).where(
        SampleVerdict.sample_id == sample.id, SampleVerdict.actor != _SYSTEM
    )
    return sample.status in ("pending", "approved") and session.scalar(by_person.limit(1)) is None


def _fill(session: Session, sample: Sample, actor: str, min_confidence: float) -> FilledSample:
    newest = corrections.newest_of(session, sample.id)
    boxes = newest.detections if newest else []
    found = found_in(boxes, predictions.of_sample(session, sample) or [], min_confidence)
    if not found:
        return _unfilled(sample, _NO_GAP)
    version = corrections.add(session, sample, [*boxes, *found], actor).version
    disagreement.refresh(session, sample)
    return FilledSample(sample_id=sample.id, added=len(found), version=version, reason=None)


def _unfilled(sample: Sample, reason: str) -> FilledSample:
    return FilledSample(sample_id=sample.id, added=0, version=None, reason=reason)
