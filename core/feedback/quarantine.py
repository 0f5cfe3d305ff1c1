"""Quarantine: what waits there, and how people get it out.

A repair is noted, and the sample goes through intake once more with it in force: what comes out of quarantine
has passed the same checks as everything else.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFound, NotRepairable
from core.feedback.addresses import without_secrets
from core.feedback.reasons import REASONS
from core.schemas import Detection
from core.schemas_review import QuarantinedSample, RepairKind
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Batch, QuarantineRepair, Sample

_CLIPPED = frozenset({"box_inverted", "box_outside", "box_too_small"})
_CHUNK = 500


@dataclass(frozen=True)
class Repairs:
    """What people did about one sample, all together.

    Attributes:
        allowed: Reason codes that no longer keep it out.
        class_map: Class names or ids as posted, to class names of the live model; None leaves the box out.
        stored: Of an image that need not be fetched again: `blob_sha256`, `source_sha256` and `window`.
    """

    allowed: frozenset[str] = frozenset()
    class_map: Mapping[str, str | None] = field(default_factory=dict)
    stored: Mapping[str, Any] = field(default_factory=dict)

    def allow(self, code: str) -> bool:
        """Whether a finding no longer keeps the sample out."""
        return code in self.allowed

    def renamed(self, posted: Sequence[Detection]) -> list[Detection]:
        """The detections under the classes that they were mapped to."""
        return [renamed for one in posted if (renamed := self._renamed(one)) is not None]

    def _renamed(self, detection: Detection) -> Detection | None:
        given = str(detection.class_id if detection.class_name is None else detection.class_name)
        if given not in self.class_map:
            return detection
        name = self.class_map[given]
        return detection.model_copy(update={"class_id": None, "class_name": name}) if name else None


def repairs_of(store: Store, batch_id: str) -> dict[str, Repairs]:
    """The repairs of a batch's samples, by sample id."""
    query = (
        sa.select(QuarantineRepair)
        .join(Sample, Sample.id == QuarantineRepair.sample_id)
        .where(Sample.batch_id == batch_id)
        .order_by(QuarantineRepair.id)
    )
    found: dict[str, Repairs] = {}
    with store.database.read() as session:
        for repair in session.scalars(query):
            found[repair.sample_id] = _with(found.get(repair.sample_id, Repairs()), repair)
    return found


def _with(before: Repairs, repair: QuarantineRepair) -> Repairs:
    codes = _CLIPPED if repair.kind == "clip" else frozenset(repair.arguments.get("codes", ()))
    class_map = repair.arguments.get("class_map", {})
    stored = {} if repair.kind == "retry" else repair.arguments.get("stored", before.stored)
    return Repairs(before.allowed | codes, {**before.class_map, **class_map}, stored)


def list_quarantined(
    store: Store,
    *,
    limit: int = 50,
    after: str | None = None,
    batch_id: str | None = None,
    code: str | None = None,
) -> list[Sample]:
    """Samples in quarantine, oldest first.

    Args:
        store: Where they are.
        limit: At most this many.
        after: Only those made after the sample with this id, for paging.
        batch_id: Only those of this batch.
        code: Only those with this reason code.
    """
    query = _in_quarantine(batch_id, code).order_by(Sample.id).limit(limit)
    if after is not None:
        query = query.where(Sample.id > after)
    with store.database.read() as session:
        return list(session.scalars(query))


def _in_quarantine(batch_id: str | None, code: str | None) -> sa.Select[Sample]:
    query = sa.select(Sample).where(Sample.status == "quarantined")
    if batch_id is not None:
        query = query.where(Sample.batch_id == batch_id)
    return query if code is None else query.where(Sample.reason_code == code)


def shown(sample: Sample) -> QuarantinedSample:
    """A sample in quarantine as the API and the dashboard show it."""
    code = sample.reason_code or ""
    return QuarantinedSample(
        id=sample.id,
        batch_id=sample.batch_id,
        index=sample.position,
        image_url=without_secrets(sample.image_url),
        sample_id=sample.client_sample_id,
        code=code,
        detail=sample.reason_detail or "",
        repair=sample.reason_repair or "",
        repairs=list(REASONS[code].repairs),
        can_be_seen=sample.blob_sha256 is not None,
        conflicts_with_id=sample.conflicts_with_id,
        created_at=sample.created_at.isoformat(),
    )


def count_by_code(store: Store) -> dict[str, int]:
    """How many samples wait in quarantine, by reason code."""
    query = sa.select(Sample.reason_code, sa.func.count()).where(Sample.status == "quarantined")
    with store.database.read() as session:
        return {code or "": count for code, count in session.execute(query.group_by(Sample.reason_code))}


@dataclass(frozen=True)
class Repair:
    """What somebody does about samples in quarantine.

    Attributes:
        kind: `retry` fetches the image again, `clip` puts corners in order and clips boxes to the image,
            `map_class` renames classes, `accept` takes the sample in all the same.
        actor: Who does it.
        reason: Why; needed to accept.
        class_map: For `map_class`: names or ids as posted, to classes of the live model; None leaves boxes
            of the class out.
    """

    kind: RepairKind
    actor: str
    reason: str | None = None
    class_map: Mapping[str, str | None] = field(default_factory=dict)


def repair(store: Store, sample_id: str, how: Repair) -> None:
    """Send one sample through intake again with a repair.

    Raises:
        NotFound: If there is no such sample.
        NotRepairable: If it is not in quarantine, or the repair does not fit why it is there.
    """
    with store.database.write() as session:
        sample = _locked(session, sample_id)
        if sample is None:
            raise NotFound(f"There is no sample {sample_id}.")
        _repair(session, sample, how)


def repair_all(
    store: Store,
    how: Repair,
    *,
    sample_ids: Collection[str] | None = None,
    batch_id: str | None = None,
    code: str | None = None,
) -> dict[str, str | None]:
    """Send many samples through intake again, each judged by itself.

    Args:
        store: Where they are.
        how: The repair.
        sample_ids: Those to repair; left out, all that are in quarantine.
        batch_id: Only those of this batch.
        code: Only those with this reason code.

    Returns:
        For each sample why it could not be repaired, or None.
    """
    found = sorted(sample_ids) if sample_ids is not None else _ids(store, batch_id, code)
    outcome: dict[str, str | None] = {}
    for start in range(0, len(found), _CHUNK):
        with store.database.write() as session:
            for sample_id in found[start : start + _CHUNK]:
                outcome[sample_id] = _tried(session, sample_id, how)
    return outcome


def _ids(store: Store, batch_id: str | None, code: str | None) -> list[str]:
    query = _in_quarantine(batch_id, code).with_only_columns(Sample.id).order_by(Sample.id)
    with store.database.read() as session:
        return list(session.scalars(query))


def _tried(session: Session, sample_id: str, how: Repair) -> str | None:
    sample = _locked(session, sample_id)
    if sample is None:
        return f"There is no sample {sample_id}."
    try:
        _repair(session, sample, how)
    except NotRepairable as error:
        return error.detail
    return None


def _locked(session: Session, sample_id: str) -> Sample | None:
    """The sample, and first its batch, which intake would else call taken in at the same moment."""
    batch_id = session.scalar(sa.select(Sample.batch_id).where(Sample.id == sample_id))
    if batch_id is None:
        return None
    session.get_one(Batch, batch_id, with_for_update=True, populate_existing=True)
    return session.get(Sample, sample_id, with_for_update=True, populate_existing=True)


def _repair(session: Session, sample: Sample, how: Repair) -> None:
    _check(sample, how)
    session.add(
        QuarantineRepair(
            id=new_id("repair"),
            sample_id=sample.id,
            kind=how.kind,
            arguments=_arguments(sample, how),
            actor=how.actor,
            reason=how.reason,
        )
    )
    # Without an image it is a sample that intake has not seen yet, to everybody.
    sample.source_sha256 = sample.blob_sha256 = None
    sample.status = "pending"
    sample.reason_code = sample.reason_detail = sample.reason_repair = sample.conflicts_with_id = None
    sample.revision += 1
    session.get_one(Batch, sample.batch_id).taken_in_at = None


def _arguments(sample: Sample, how: Repair) -> dict[str, Any]:
    if how.kind == "retry":
        return {}
    kept = {name: getattr(sample, name) for name in ("blob_sha256", "source_sha256", "window")}
    arguments: dict[str, Any] = {"stored": kept} if sample.blob_sha256 else {}
    if how.kind == "accept":
        return {**arguments, "codes": [sample.reason_code]}
    return {**arguments, "class_map": dict(how.class_map)} if how.kind == "map_class" else arguments


def _check(sample: Sample, how: Repair) -> None:
    if sample.status != "quarantined" or sample.reason_code is None:
        raise NotRepairable(f"Sample {sample.id} is {sample.status}, not in quarantine: look at it again.")
    fitting = REASONS[sample.reason_code].repairs
    if how.kind not in fitting:
        does = f"What does: {', '.join(fitting)}." if fitting else "Nothing does."
        raise NotRepairable(f"{how.kind} does not repair {sample.reason_code} of sample {sample.id}. {does}")
    if how.kind == "accept" and not (how.reason or "").strip():
        raise NotRepairable("Say why the sample is to be taken in all the same: a reason is needed.")
    if how.kind == "map_class" and not how.class_map:
        raise NotRepairable("Say which posted class is which class of the live model.")
