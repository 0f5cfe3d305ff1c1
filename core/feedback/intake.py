"""Takes a feedback batch in: every posted image ends as a sample or in quarantine, and none gets lost.

Each outcome is one short transaction, written in the order of the batch, so that intake may be killed at any
moment, is simply called again, and comes to the same result.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.feedback import corrections, holdout
from core.feedback.addresses import without_secrets
from core.feedback.boxes import StoredDetection
from core.feedback.download import Downloader
from core.feedback.examine import Examiner, Findings
from core.feedback.reasons import Refusal
from core.schemas import FeedbackImage, FeedbackRequest, QuarantinedImage
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Batch, Correction, Sample, SampleVerdict


@dataclass(frozen=True)
class ApprovedSample:
    """A sample that may be learned from, with the newest version of its boxes."""

    id: str
    position: int
    blob_sha256: str
    width_px: int
    height_px: int
    detections: tuple[StoredDetection, ...]
    group: str | None
    is_holdout: bool


def record_batch(
    session: Session,
    request: FeedbackRequest,
    *,
    source: str,
    actor: str,
    is_trusted: bool = True,
    class_map: dict[str, str | None] | None = None,
) -> Batch:
    """Add a batch and its samples as they were posted; nothing is fetched yet.

    Args:
        session: Of the transaction that the run and its queue entry join.
        request: What was posted.
        source: The door it came through, such as `api`.
        actor: Who posted it.
        is_trusted: Whether samples that pass intake are approved without a look at them.
        class_map: How the class names of an import were mapped to those of the live model.
    """
    batch = Batch(
        id=new_id("batch"),
        source=source,
        actor=actor,
        note=request.note,
        is_trusted=is_trusted,
        class_map=class_map,
    )
    session.add(batch)
    session.flush()
    session.add_all(_posted(batch.id, position, image) for position, image in enumerate(request.images))
    session.flush()
    return batch


def _posted(batch_id: str, position: int, image: FeedbackImage) -> Sample:
    return Sample(
        id=new_id("sample"),
        batch_id=batch_id,
        position=position,
        image_url=image.image_url,
        client_sample_id=image.sample_id,
        group=image.group,
        posted=[detection.model_dump(mode="json", exclude_none=True) for detection in image.detections],
        status="pending",
    )


def take_in(
    store: Store,
    batch_id: str,
    *,
    class_names: Sequence[str],
    judged_sha256: Collection[str],
    approve_as: str | None,
    on_progress: Callable[[int, int], None],
) -> None:
    """Fetch, check and store every sample of a batch that has not been taken in yet.

    Args:
        store: Where the batch was recorded.
        batch_id: The batch.
        class_names: The live model's class map; ids are positions.
        judged_sha256: Digests of the files that judge the model and may not be learned from.
        approve_as: Actor in whose name samples that pass are approved; None leaves them pending.
        on_progress: Told how many of how many images are done; may raise to stop.

    Raises:
        NotFound: If there is no such batch.
        DiskFull: If an image could not be stored; what was taken in so far stays.
    """
    waiting, total = _waiting(store, batch_id)
    on_progress(total - len(waiting), total)
    with Downloader(store.settings) as downloader:
        examiner = Examiner(store, downloader, class_names, judged_sha256)
        with closing(examiner.examine_all(waiting)) as examined:
            for done, (sample, findings) in enumerate(examined, total - len(waiting) + 1):
                with store.database.write() as session:
                    _settle(session, sample.id, findings, approve_as, store.settings.holdout_share)
                on_progress(done, total)


def _waiting(store: Store, batch_id: str) -> tuple[list[Sample], int]:
    with store.database.read() as session:
        if session.get(Batch, batch_id) is None:
            raise NotFound(f"There is no feedback batch {batch_id}.")
        query = sa.select(Sample).where(Sample.batch_id == batch_id).order_by(Sample.position)
        samples = list(session.scalars(query))
    return [sample for sample in samples if not _is_taken_in(sample)], len(samples)


def _is_taken_in(sample: Sample) -> bool:
    return sample.status != "pending" or sample.blob_sha256 is not None


def _settle(
    session: Session, sample_id: str, findings: Findings, approve_as: str | None, holdout_share: float
) -> None:
    sample = session.get_one(Sample, sample_id, with_for_update=True)
    # Another process may have been given the same batch.
    if _is_taken_in(sample):
        return
    sample.source_sha256, sample.blob_sha256 = findings.source_sha256, findings.blob_sha256
    sample.width_px, sample.height_px = findings.width_px, findings.height_px
    refusal = findings.refusal or _repetition(session, sample, findings.detections)
    if refusal:
        _quarantine(sample, refusal)
    else:
        _accept(session, sample, findings.detections, approve_as, holdout_share)


def _quarantine(sample: Sample, refusal: Refusal) -> None:
    sample.status = "quarantined"
    sample.reason_code = refusal.code
    sample.reason_detail, sample.reason_repair = refusal.detail, refusal.repair


def _accept(
    session: Session,
    sample: Sample,
    detections: list[StoredDetection],
    approve_as: str | None,
    holdout_share: float,
) -> None:
    author = session.get_one(Batch, sample.batch_id).actor
    sample.is_holdout = holdout.decide(session, sample, holdout_share)
    corrections.add(session, sample, detections, author)
    if approve_as is not None:
        sample.status = "approved"
        session.add(
            SampleVerdict(id=new_id("verdict"), sample_id=sample.id, decision="approved", actor=approve_as)
        )


def _repetition(session: Session, sample: Sample, detections: list[StoredDetection]) -> Refusal | None:
    first = session.execute(
        sa.select(Sample.position, Correction.detections)
        .join(Correction, Correction.sample_id == Sample.id)
        .where(Sample.batch_id == sample.batch_id, Sample.blob_sha256 == sample.blob_sha256)
        .where(Sample.id != sample.id, Correction.version == 1)
    ).first()
    if first is None:
        return None
    position, kept = first
    if sorted(map(_key, kept)) == sorted(map(_key, detections)):
        return Refusal(
            "duplicate_exact", f"Image {sample.position} has the same content as image {position}."
        )
    detail = f"Image {sample.position} is image {position} with other boxes; the first is in use."
    return Refusal("conflict", detail)


def _key(detection: StoredDetection) -> tuple[int, list[float]]:
    return detection["class_id"], detection["xyxy"]


def approved_samples(store: Store, batch_id: str) -> list[ApprovedSample]:
    """The approved samples of a batch, holdout included, in the order they were posted."""
    newest = sa.select(sa.func.max(Correction.version)).where(Correction.sample_id == Sample.id)
    query = (
        sa.select(Sample, Correction.detections)
        .join(Correction, Correction.sample_id == Sample.id)
        .where(Sample.batch_id == batch_id, Sample.status == "approved")
        .where(Correction.version == newest.correlate(Sample).scalar_subquery())
        .order_by(Sample.position)
    )
    with store.database.read() as session:
        return [_approved(sample, detections) for sample, detections in session.execute(query)]


def _approved(sample: Sample, detections: list[StoredDetection]) -> ApprovedSample:
    # The columns are empty only until a sample is taken in, and approval comes later.
    return ApprovedSample(
        id=sample.id,
        position=sample.position,
        blob_sha256=cast(str, sample.blob_sha256),
        width_px=cast(int, sample.width_px),
        height_px=cast(int, sample.height_px),
        detections=tuple(detections),
        group=sample.group,
        is_holdout=sample.is_holdout,
    )


def quarantined(store: Store, batch_id: str) -> list[QuarantinedImage]:
    """The images of a batch that were put aside, in the order they were posted."""
    query = (
        sa.select(Sample)
        .where(Sample.batch_id == batch_id, Sample.status == "quarantined")
        .order_by(Sample.position)
    )
    with store.database.read() as session:
        return [_put_aside(sample) for sample in session.scalars(query)]


def _put_aside(sample: Sample) -> QuarantinedImage:
    return QuarantinedImage(
        index=sample.position,
        image_url=without_secrets(sample.image_url),
        sample_id=sample.client_sample_id,
        code=sample.reason_code or "",
        detail=sample.reason_detail or "",
        repair=sample.reason_repair or "",
    )
