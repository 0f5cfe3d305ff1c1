"""One verdict on many samples: each is decided on its own, and the answer tells of each."""

from collections import Counter
from collections.abc import Sequence
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import StaleSample
from core.feedback import disagreement
from core.feedback.history import verdicts_of
from core.feedback.review import next_verdict, obstacle_to_review, repeats, stale
from core.feedback.sample_order import conditions
from core.feedback.samples import unknown
from core.schemas_review import (
    MAX_BULK,
    BulkOutcome,
    BulkVerdictOutcome,
    BulkVerdictRequest,
    BulkVerdictResult,
    SampleFilter,
    SeenSample,
)
from core.store import Store
from core.store.tables import Batch, Sample, SampleVerdict

# So that nobody else waits for long: SQLite has one writer at a time.
_PER_TRANSACTION = 500


def give_verdicts(store: Store, request: BulkVerdictRequest, *, actor: str) -> BulkVerdictResult:
    """Give one verdict on each of many samples, some hundred in a transaction.

    A sample that was changed since it was seen, or that cannot be reviewed, stays as it is and holds up none
    of the others. If the database goes away half-way, what was decided stays: send it again.

    Args:
        store: Where the samples are.
        request: The verdict, and the samples it is for.
        actor: Who gives it.

    Raises:
        StaleSample: If a filter finds another number of samples than the reviewer saw; nothing is decided.
    """
    if request.filter is None:
        seen = request.samples or []
    else:
        seen = _found(store, request.filter, request.count or 0)
    outcomes: list[BulkVerdictOutcome] = []
    for start in range(0, len(seen), _PER_TRANSACTION):
        with store.database.write() as session:
            outcomes += _decide(session, seen[start : start + _PER_TRANSACTION], request, actor)
    counts = Counter(one.outcome for one in outcomes)
    return BulkVerdictResult(counts={one: counts[one] for one in get_args(BulkOutcome)}, outcomes=outcomes)


def _found(store: Store, wanted: SampleFilter, count: int) -> list[SeenSample]:
    query = sa.select(Sample.id, Sample.revision).where(*conditions(wanted)).order_by(Sample.id)
    with store.database.read() as session:
        rows = session.execute(query.limit(MAX_BULK + 1)).all()
    if len(rows) != count:
        now = f"more than {MAX_BULK}" if len(rows) > MAX_BULK else str(len(rows))
        detail = (
            f"The filter finds {now} samples now, and not {count}. Nothing was decided: look at them again."
        )
        raise StaleSample(detail, count=len(rows))
    return [SeenSample(id=sample_id, revision=revision) for sample_id, revision in rows]


def _decide(
    session: Session, seen: Sequence[SeenSample], request: BulkVerdictRequest, actor: str
) -> list[BulkVerdictOutcome]:
    ids = [one.id for one in seen]
    # In one order, batches first, so that two who change the same rows cannot wait for each other.
    of_these = Batch.id.in_(sa.select(Sample.batch_id).where(Sample.id.in_(ids)))
    batches = session.scalars(sa.select(Batch).where(of_these).order_by(Batch.id).with_for_update()).all()
    rows = sa.select(Sample).where(Sample.id.in_(ids)).order_by(Sample.id).with_for_update()
    samples = {sample.id: sample for sample in session.scalars(rows)}
    # The newest comes last and stays.
    verdicts = {verdict.sample_id: verdict for verdict in verdicts_of(session, ids)}
    outcomes = [
        _outcome(session, samples.get(one.id), verdicts.get(one.id), one, request, actor) for one in seen
    ]
    done = {samples[one.id].batch_id for one in outcomes if one.outcome == "done"}
    for batch in batches:
        if batch.id in done:
            disagreement.score_again_if_reviewed(session, batch)
    return outcomes


def _outcome(
    session: Session,
    sample: Sample | None,
    newest: SampleVerdict | None,
    seen: SeenSample,
    request: BulkVerdictRequest,
    actor: str,
) -> BulkVerdictOutcome:
    def told(outcome: BulkOutcome, detail: str | None = None) -> BulkVerdictOutcome:
        revision = sample.revision if sample else None
        return BulkVerdictOutcome(id=seen.id, outcome=outcome, revision=revision, detail=detail)

    if sample is None:
        return told("not_found", unknown(seen.id).detail)
    if sample.revision != seen.revision:
        return told("stale", stale(session, sample, seen.revision).detail)
    if (obstacle := obstacle_to_review(sample)) is not None:
        return told("not_reviewable", obstacle)
    if repeats(sample, newest, request.decision, request.reason):
        return told("unchanged")
    session.add(next_verdict(sample, request.decision, actor, request.reason))
    return told("done")
