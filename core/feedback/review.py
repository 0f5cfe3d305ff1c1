"""What a reviewer does to a sample: correct its boxes, approve, reject, open it again, and undo that.

Whatever is done is added to what was done before, with its author. Who changes a sample names the revision
that he saw: if somebody else was faster, he is told so and nothing is changed.
"""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.errors import BoxesRefused, NothingToUndo, SampleNotReviewable, StaleSample
from core.feedback import corrections, disagreement
from core.feedback.boxes import StoredDetection, fit
from core.feedback.history import History, verdicts_of
from core.feedback.reasons import Refusal
from core.feedback.samples import unknown
from core.schemas import Detection
from core.schemas_review import Decision, SampleStatus
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Correction, Sample, SampleVerdict

STATUS_AFTER: dict[Decision, SampleStatus] = {
    "approved": "approved",
    "rejected": "rejected",
    "reopened": "pending",
}


def correct(
    store: Store,
    sample_id: str,
    detections: Sequence[Detection],
    *,
    class_names: Sequence[str],
    seen_revision: int,
    actor: str,
) -> int:
    """Give a sample other boxes, as the next version of them; its status stays.

    The very same boxes add no version. A box that the champion added keeps its origin while it is not moved.

    Args:
        store: Where the sample is.
        sample_id: The sample.
        detections: All boxes it should have, `xyxy` in pixels of the upright image; checked as at intake.
        class_names: Of the live model; ids are positions.
        seen_revision: The revision that the reviewer saw.
        actor: Who he is.

    Returns:
        The sample's revision.

    Raises:
        NotFound: If there is no such sample.
        StaleSample: If it was changed since.
        SampleNotReviewable: If it is in quarantine, or not taken in yet.
        BoxesRefused: If boxes leave the image, have no area or an unknown class; each is named.
    """
    with store.database.write() as session:
        sample = _locked(session, sample_id, seen_revision)
        boxes = _checked(detections, class_names, sample)
        newest = corrections.newest_of(session, sample.id)
        known = {_key(box): box for box in newest.detections} if newest else {}
        boxes = [known.get(_key(box), box) for box in boxes]
        if newest is None or sorted(map(_key, boxes)) != sorted(map(_key, newest.detections)):
            corrections.add(session, sample, boxes, actor)
            disagreement.refresh(session, sample)
        return sample.revision


def _checked(
    detections: Sequence[Detection], class_names: Sequence[str], sample: Sample
) -> list[StoredDetection]:
    try:
        return fit(detections, class_names, sample.width_px or 0, sample.height_px or 0)
    except Refusal as refusal:
        raise BoxesRefused(f"{refusal.detail} {refusal.repair}", reason=refusal.code) from refusal


def _key(detection: StoredDetection) -> tuple[float, ...]:
    return detection["class_id"], *detection["xyxy"]


def give_verdict(
    store: Store,
    sample_id: str,
    decision: Decision,
    *,
    seen_revision: int,
    actor: str,
    reason: str | None = None,
) -> int:
    """Approve or reject a sample, or open it again; it counts from the next run on.

    To repeat what stands adds nothing, unless it confirms what intake approved by itself or says why.

    Args:
        store: Where the sample is.
        sample_id: The sample.
        decision: `approved`, `rejected` or `reopened`, which lets it wait for review once more.
        seen_revision: The revision that the reviewer saw.
        actor: Who he is.
        reason: Why, for those who look at the sample later.

    Returns:
        The sample's revision.

    Raises:
        NotFound: If there is no such sample.
        StaleSample: If it was changed since.
        SampleNotReviewable: If it is in quarantine, or not taken in yet.
    """
    with store.database.write() as session:
        sample = _locked(session, sample_id, seen_revision)
        verdicts = verdicts_of(session, [sample.id])
        if not repeats(sample, verdicts[-1] if verdicts else None, decision, reason):
            session.add(next_verdict(sample, decision, actor, reason))
            disagreement.refresh(session, sample)
        return sample.revision


def repeats(sample: Sample, newest: SampleVerdict | None, decision: Decision, reason: str | None) -> bool:
    """Whether a verdict says nothing that does not stand already."""
    if STATUS_AFTER[decision] != sample.status:
        return False
    if newest is None:
        return reason is None
    return newest.revision > 0 and reason in (None, newest.reason)


def next_verdict(
    sample: Sample, decision: Decision, actor: str, reason: str | None = None, *, undoes: str | None = None
) -> SampleVerdict:
    """The verdict that follows in a sample's history; the sample takes its status, and the caller adds it."""
    sample.revision += 1
    sample.status = STATUS_AFTER[decision]
    return SampleVerdict(
        id=new_id("verdict"),
        sample_id=sample.id,
        decision=decision,
        actor=actor,
        reason=reason,
        undoes=undoes,
        revision=sample.revision,
    )


def undo(store: Store, sample_id: str, *, seen_revision: int, actor: str) -> int:
    """Take back the newest thing that was done to a sample since intake and that was not taken back yet.

    That is a change like any other: a version with the boxes of before, or a verdict that restores the
    status of before. To undo again goes further back.

    Args:
        store: Where the sample is.
        sample_id: The sample.
        seen_revision: The revision that the reviewer saw.
        actor: Who he is.

    Returns:
        The sample's revision.

    Raises:
        NotFound: If there is no such sample.
        StaleSample: If it was changed since.
        SampleNotReviewable: If it is in quarantine, or not taken in yet.
        NothingToUndo: If it is as intake left it, or everything was taken back.
    """
    with store.database.write() as session:
        sample = _locked(session, sample_id, seen_revision)
        history = History.of(session, sample.id)
        step = history.standing()
        if step is None:
            raise NothingToUndo(f"Sample {sample.id} is as intake left it.", sample_id=sample.id)
        if isinstance(step, Correction):
            boxes = history.before_version(step).detections
            corrections.add(session, sample, boxes, actor, undoes=step.version)
        else:
            session.add(next_verdict(sample, history.decision_before(step), actor, undoes=step.id))
        disagreement.refresh(session, sample)
        return sample.revision


def _locked(session: Session, sample_id: str, seen_revision: int) -> Sample:
    sample = session.get(Sample, sample_id, with_for_update=True, populate_existing=True)
    if sample is None:
        raise unknown(sample_id)
    if sample.revision != seen_revision:
        raise stale(session, sample, seen_revision)
    if (obstacle := obstacle_to_review(sample)) is not None:
        raise SampleNotReviewable(obstacle, sample_id=sample.id)
    return sample


def obstacle_to_review(sample: Sample) -> str | None:
    """Why a sample cannot be reviewed, and what to do; None if it can."""
    if sample.status == "quarantined":
        return f"Sample {sample.id} is in quarantine ({sample.reason_code}). Repair it first."
    if sample.intake_number is None:
        return f"Sample {sample.id} is still being taken in. Try again in a minute."
    return None


def stale(session: Session, sample: Sample, seen_revision: int) -> StaleSample:
    """The error for who decides on what he has not seen: who changed the sample, when, and what to do."""
    newest = History.of(session, sample.id).newest()
    told = (
        {"change": newest.what, "changed_by": newest.actor, "changed_at": newest.at.isoformat()}
        if newest
        else {}
    )
    detail = (
        f"You saw revision {seen_revision} of sample {sample.id}, which is at {sample.revision} now. "
        f"{newest.sentence if newest else ''} "
        f"Look at it again (GET /api/samples/{sample.id}), then repeat what you still want."
    )
    return StaleSample(detail, sample_id=sample.id, revision=sample.revision, **told)
