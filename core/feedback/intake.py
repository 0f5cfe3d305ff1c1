"""Takes a feedback batch in: every posted image ends as a sample or in quarantine, and none gets lost.

Outcomes are written in the order of the batch, in short transactions, so that intake may be killed at any
moment, is simply called again, and comes to the same result.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.feedback import fingerprints, quarantine
from core.feedback.addresses import without_secrets
from core.feedback.download import Downloader
from core.feedback.examine import Examiner, Rules
from core.feedback.lookalikes import Judges
from core.feedback.policy import policies
from core.feedback.settle import Settler, is_taken_in
from core.schemas import FeedbackImage, FeedbackRequest, QuarantinedImage
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Batch, Sample, utc_now

_ORDER_LOCK = "intake"
"""Held while samples get their numbers, so that processes that take in at once agree on look-alikes."""


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
        fills_gaps=request.fill_gaps,
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
    judging: Mapping[str, Path],
    judged_sha256: Collection[str] = (),
    champion_id: str | None,
    on_progress: Callable[[int, int], None],
) -> None:
    """Fetch, check and store every sample of a batch that has not been taken in yet.

    Samples of a trusted batch that pass are approved by `system`; the others wait for review.

    Args:
        store: Where the batch was recorded.
        batch_id: The batch.
        class_names: The live model's class map; ids are positions.
        judging: Files of the base set that judge the model and may not be learned from, by sha256.
        judged_sha256: Further files that did, and may lie nowhere any more.
        champion_id: The checkpoint that is live now; noted with a batch that is taken in for the first time.
        on_progress: Told how many of how many images are done; may raise to stop.

    Raises:
        NotFound: If there is no such batch.
        InvalidSetting: If `TMS_INTAKE_POLICY` cannot be used.
        DiskFull: If an image could not be stored; what was taken in so far stays.
    """
    waiting, total = _waiting(store, batch_id)
    done = total - len(waiting)
    on_progress(done, total)
    rules = _rules(store, batch_id, class_names, judging, judged_sha256)
    settler = Settler(store.settings.holdout_share, rules)
    with (
        Downloader(store.settings) as downloader,
        closing(Examiner(store, downloader, rules).examine_all(waiting)) as examined,
    ):
        for together in examined:
            with store.database.write() as session:
                store.database.exclusive(session, _ORDER_LOCK)
                settler.settle(session, together)
            done += len(together)
            on_progress(done, total)
    _note_taken_in(store, batch_id, champion_id)


def _waiting(store: Store, batch_id: str) -> tuple[list[Sample], int]:
    with store.database.read() as session:
        if session.get(Batch, batch_id) is None:
            raise NotFound(f"There is no feedback batch {batch_id}.")
        query = sa.select(Sample).where(Sample.batch_id == batch_id).order_by(Sample.position)
        samples = list(session.scalars(query))
    return [sample for sample in samples if not is_taken_in(sample)], len(samples)


def _rules(
    store: Store,
    batch_id: str,
    class_names: Sequence[str],
    judging: Mapping[str, Path],
    judged_sha256: Collection[str],
) -> Rules:
    return Rules(
        class_names=class_names,
        judges=Judges({*judging, *judged_sha256}, fingerprints.of_files(store, judging)),
        policies=policies(store.settings),
        repairs=quarantine.repairs_of(store, batch_id),
    )


def _note_taken_in(store: Store, batch_id: str, champion_id: str | None) -> None:
    waits = sa.select(Sample.id).where(
        Sample.batch_id == batch_id, Sample.status == "pending", Sample.blob_sha256.is_(None)
    )
    with store.database.write() as session:
        # Whoever repairs a sample locks the batch too: he comes before this, or takes it back.
        batch = session.get_one(Batch, batch_id, with_for_update=True)
        if batch.taken_in_at is None and session.scalar(waits.limit(1)) is None:
            batch.taken_in_at, batch.predicted_at = utc_now(), None
            batch.champion_id = batch.champion_id or champion_id


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
