"""Samples as they are shown: rows of several tables brought together."""

from collections.abc import Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.feedback.addresses import without_secrets
from core.feedback.history import History, verdicts_of, versions_of
from core.schemas import Box
from core.schemas_review import (
    BatchView,
    BoxView,
    Finding,
    PredictionView,
    SampleSummary,
    SampleView,
    VerdictView,
    VersionView,
)
from core.store.tables import Batch, Correction, Disagreement, Prediction, Sample, SampleVerdict

Row = TypeVar("Row")

_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_SAME_IN_THE_TABLE = (
    "id", "batch_id", "position", "client_sample_id", "group", "status", "is_holdout", "revision",
    "width_px", "height_px", "thumbnail_sha256", "disagreement",
)  # fmt: skip


def summaries(session: Session, sample_ids: Sequence[str]) -> list[SampleSummary]:
    """The samples with these ids, in this order, with their newest boxes and verdicts."""
    samples = {one.id: one for one in session.scalars(sa.select(Sample).where(Sample.id.in_(sample_ids)))}
    # The newest comes last and stays.
    boxes = {one.sample_id: one for one in versions_of(session, sample_ids)}
    verdicts = {one.sample_id: one for one in verdicts_of(session, sample_ids)}
    return [SampleSummary(**_summary(samples[one], boxes.get(one), verdicts.get(one))) for one in sample_ids]


def view_of(
    session: Session, sample: Sample, champion_id: str | None, neighbour_ids: Sequence[str | None]
) -> SampleView:
    """A sample with all that is known of it, between the two that are before and after it in a list."""
    history = History.of(session, sample.id)
    batch = session.get_one(Batch, sample.batch_id)
    previous_id, next_id = neighbour_ids
    return SampleView(
        **_summary(sample, _last(history.versions), _last(history.verdicts)),
        image_url=without_secrets(sample.image_url),
        posted=_posted(sample, history.versions),
        versions=[_version(one) for one in history.versions],
        verdicts=[_verdict(one) for one in history.verdicts],
        prediction=_prediction(session, sample, (champion_id, batch.champion_id)),
        window=sample.window,
        cluster=sample.cluster,
        conflicts_with_id=sample.conflicts_with_id,
        batch=_batch(batch),
        previous_id=previous_id,
        next_id=next_id,
    )


def _summary(sample: Sample, newest: Correction | None, verdict: SampleVerdict | None) -> dict[str, Any]:
    return {
        **{name: getattr(sample, name) for name in _SAME_IN_THE_TABLE},
        "image_sha256": sample.blob_sha256,
        "version": newest.version if newest else None,
        "detections": _boxes(newest.detections) if newest else [],
        "warnings": [Finding(**warning) for warning in sample.warnings],
        "reason": _reason(sample),
        "decided_by": verdict.actor if verdict else None,
        "decided_at": verdict.created_at.isoformat() if verdict else None,
        "created_at": sample.created_at.isoformat(),
    }


def _last(rows: Sequence[Row]) -> Row | None:
    return rows[-1] if rows else None


def _reason(sample: Sample) -> Finding | None:
    if sample.reason_code is None:
        return None
    return Finding(code=sample.reason_code, detail=sample.reason_detail or "", repair=sample.reason_repair)


def _boxes(detections: Sequence[dict[str, Any]]) -> list[BoxView]:
    return [
        BoxView(box=Box(**dict(zip(_CORNERS, one["xyxy"], strict=True))), **_without(one, "xyxy"))
        for one in detections
    ]


def _without(detection: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in detection.items() if key != name}


def _posted(sample: Sample, versions: Sequence[Correction]) -> list[BoxView]:
    if versions:
        return _boxes(versions[0].detections)
    return [BoxView(**{"class_id": None, **detection}) for detection in sample.posted]


def _version(correction: Correction) -> VersionView:
    return VersionView(
        version=correction.version,
        revision=correction.revision,
        detections=_boxes(correction.detections),
        author=correction.author,
        undoes=correction.undoes,
        created_at=correction.created_at.isoformat(),
    )


def _verdict(verdict: SampleVerdict) -> VerdictView:
    return VerdictView(
        id=verdict.id,
        revision=verdict.revision,
        decision=verdict.decision,
        actor=verdict.actor,
        reason=verdict.reason,
        undoes=verdict.undoes,
        created_at=verdict.created_at.isoformat(),
    )


def _prediction(
    session: Session, sample: Sample, checkpoint_ids: Sequence[str | None]
) -> PredictionView | None:
    """What the first of these checkpoints that has looked at the image sees in it."""
    for checkpoint_id in filter(None, checkpoint_ids):
        seen = session.get(Prediction, (checkpoint_id, sample.blob_sha256))
        if seen is not None:
            differs = session.get(Disagreement, (sample.id, seen.checkpoint_id))
            return PredictionView(
                checkpoint_id=seen.checkpoint_id,
                detections=_boxes(seen.detections),
                score=differs.score if differs else None,
                differences=differs.differences if differs else [],
            )
    return None


def _batch(batch: Batch) -> BatchView:
    return BatchView(
        id=batch.id,
        source=batch.source,
        actor=batch.actor,
        note=batch.note,
        created_at=batch.created_at.isoformat(),
    )
