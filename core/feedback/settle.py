"""Writes what intake found of samples: taken in, on its side, or put aside."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.feedback import corrections, holdout
from core.feedback.boxes import StoredDetection
from core.feedback.examine import Findings, Rules
from core.feedback.lookalikes import Lookalike, Lookalikes
from core.feedback.quarantine import Repairs
from core.feedback.reasons import Refusal
from core.store.ids import new_id
from core.store.tables import Batch, Correction, Sample, SampleVerdict

APPROVED_BY = "system"
# Far below what a person could mean by another box.
_SAME_WITHIN_PX = 0.01


def is_taken_in(sample: Sample) -> bool:
    """Whether intake is done with a sample."""
    return sample.status != "pending" or sample.blob_sha256 is not None


class Settler:
    """Settles the samples of one batch, in order; several may be settled in one transaction."""

    def __init__(self, holdout_share: float, rules: Rules) -> None:
        """Take the share of groups that are kept for judging, and what samples are held against."""
        self._share, self._rules = holdout_share, rules
        self._lookalikes = Lookalikes()
        self._has_begun = False

    def settle(self, session: Session, examined: Iterable[tuple[Sample, Findings]]) -> None:
        """Write the outcome of samples, in a transaction that alone gives intake numbers."""
        self._lookalikes.refresh(session)
        found = {seen.id: findings for seen, findings in examined}
        query = sa.select(Sample).where(Sample.id.in_(found)).order_by(Sample.position).with_for_update()
        # Another process may have been given the same batch.
        waiting = [sample for sample in session.scalars(query) if not is_taken_in(sample)]
        if waiting:
            batch = session.get_one(Batch, waiting[0].batch_id)
            self._has_begun = holdout.has_begun(session, batch.id)
            for sample in waiting:
                self._settle(session, batch, sample, found[sample.id])

    def _settle(self, session: Session, batch: Batch, sample: Sample, findings: Findings) -> None:
        _note(sample, findings)
        try:
            if findings.refusal:
                raise findings.refusal
            self._take_in(session, batch, sample, findings)
        except Refusal as refusal:
            _put_aside(sample, refusal)
        sample.warnings = [{"code": one.code, "detail": one.detail} for one in findings.warnings]

    def _take_in(self, session: Session, batch: Batch, sample: Sample, findings: Findings) -> None:
        assert findings.look is not None  # noqa: S101 - whatever was not refused was looked at
        repairs = self._rules.repairs.get(sample.id, Repairs())
        near = self._lookalikes.near(findings.look)
        if near and (found := _repetition(session, sample, findings, near)):
            self._rules.settle(findings, found, repairs)
        sample.cluster = near[0].cluster if near else findings.look.pixel_sha256
        sample.is_holdout = holdout.decide(session, sample, near, self._share, has_begun=self._has_begun)
        self._lookalikes.add(sample)
        _accept(session, batch, sample, findings.detections)


def _repetition(
    session: Session, sample: Sample, findings: Findings, near: Sequence[Lookalike]
) -> Refusal | None:
    """What the sample repeats: an image of its batch, an earlier one, or one that is nearly the same."""
    same = session.execute(_same_image(sample)).all()
    for other, detections in same:
        is_alike = _are_alike(detections, findings.detections)
        if other.batch_id == sample.batch_id:
            return _twice(sample, other, is_alike)
        if other.is_holdout:
            return _judges(other)
        if found := _known(session, sample, other, is_alike):
            return found
    judging = [one for one in near if one.is_holdout and one.batch_id != sample.batch_id]
    if same:
        return None
    return _judges(judging[0]) if judging else _nearly(near[0])


def _same_image(sample: Sample) -> sa.Select[Sample, list[StoredDetection]]:
    """Samples of the same pixels that were taken in, newest boxes beside each; this batch's own first."""
    newest = sa.select(sa.func.max(Correction.version)).where(Correction.sample_id == Sample.id)
    return (
        sa.select(Sample, Correction.detections)
        .join(Correction, Correction.sample_id == Sample.id)
        .where(Sample.pixel_sha256 == sample.pixel_sha256, Sample.id != sample.id)
        .where(Sample.intake_number.is_not(None))
        .where(Correction.version == newest.correlate(Sample).scalar_subquery())
        .order_by((Sample.batch_id == sample.batch_id).desc(), Sample.intake_number.desc())
    )


def _twice(sample: Sample, other: Sample, is_alike: bool) -> Refusal:
    if is_alike:
        detail = f"Image {sample.position} has the same content as image {other.position}."
        return Refusal("duplicate_exact", detail)
    detail = f"Image {sample.position} is image {other.position} with other boxes; the first is in use."
    return Refusal("conflict", detail)


def _judges(other: Sample | Lookalike) -> Refusal:
    return Refusal(
        "leak_validation",
        f"It is image {other.position} of batch {other.batch_id}, or nearly, and that one judges the model.",
    )


def _known(session: Session, sample: Sample, other: Sample, is_alike: bool) -> Refusal | None:
    """What it means that an earlier batch had the image; nothing, if nobody relies on its boxes yet."""
    where = f"image {other.position} of batch {other.batch_id}"
    if other.status == "rejected" or (not is_alike and _counts(session, other)):
        sample.conflicts_with_id = other.id
        how = "which was rejected" if other.status == "rejected" else "with other boxes"
        return Refusal("conflict", f"It is {where}, {how}. What was decided there stays.")
    return Refusal("duplicate_earlier", f"It is {where}, with the same boxes.") if is_alike else None


def _counts(session: Session, sample: Sample) -> bool:
    """Whether the sample's boxes were approved, or changed by a person."""
    changed = sa.select(Correction.id).where(Correction.sample_id == sample.id, Correction.version > 1)
    return sample.status == "approved" or session.scalar(changed.limit(1)) is not None


def _nearly(other: Lookalike) -> Refusal:
    where = f"image {other.position} of batch {other.batch_id}"
    return Refusal("duplicate_near", f"It is nearly the same as {where}; both stay on one side.")


def _are_alike(kept: Sequence[StoredDetection], posted: Sequence[StoredDetection]) -> bool:
    pairs = zip(sorted(map(_key, kept)), sorted(map(_key, posted)), strict=False)
    return len(kept) == len(posted) and all(
        one[0] == other[0]
        and all(abs(a - b) <= _SAME_WITHIN_PX for a, b in zip(one[1], other[1], strict=True))
        for one, other in pairs
    )


def _key(detection: StoredDetection) -> tuple[int, list[float]]:
    return detection["class_id"], detection["xyxy"]


def _note(sample: Sample, findings: Findings) -> None:
    for name in ("source_sha256", "blob_sha256", "thumbnail_sha256", "width_px", "height_px", "window"):
        setattr(sample, name, getattr(findings, name))
    if findings.look:
        for name, value in asdict(findings.look).items():
            setattr(sample, name, value)


def _put_aside(sample: Sample, refusal: Refusal) -> None:
    sample.status = "quarantined"
    sample.reason_code = refusal.code
    sample.reason_detail, sample.reason_repair = refusal.detail, refusal.repair
    sample.is_holdout, sample.cluster = False, None


def _accept(session: Session, batch: Batch, sample: Sample, detections: list[StoredDetection]) -> None:
    corrections.add_first(session, sample, detections, batch.actor)
    if batch.is_trusted:
        sample.status = "approved"
        session.add(
            SampleVerdict(id=new_id("verdict"), sample_id=sample.id, decision="approved", actor=APPROVED_BY)
        )
