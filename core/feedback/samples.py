"""Samples for those who review them: lists, counts, and one sample with all that is known of it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.errors import NotFound
from core.feedback.sample_order import Place, conditions, cursor_of, place_of, walk
from core.feedback.sample_views import summaries, view_of
from core.schemas_review import SampleCounts, SampleFilter, SampleOrder, SamplePage, SampleView
from core.store import Store
from core.store.tables import SAMPLE_STATUSES, Sample, SampleClass


def list_samples(
    store: Store, wanted: SampleOrder, *, limit: int = 50, cursor: str | None = None
) -> SamplePage:
    """A page of samples.

    A page begins behind the last sample of the one before: the two hundredth costs what the first does, and
    samples that arrive meanwhile move nothing.

    Args:
        store: Where they are.
        wanted: Which ones, in which order.
        limit: At most so many.
        cursor: `next_cursor` of the page before.

    Raises:
        InvalidRequest: If the cursor is none of this order.
    """
    start = place_of(cursor, wanted.sort) if cursor is not None else None
    with store.database.read() as session:
        found = walk(session, wanted, wanted.sort, start=start, limit=limit + 1)
        page = found[:limit]
        samples = summaries(session, [place.id for place in page])
    has_more = len(found) > limit
    return SamplePage(samples=samples, next_cursor=cursor_of(page[-1], wanted.sort) if has_more else None)


def count_samples(store: Store, wanted: SampleFilter) -> SampleCounts:
    """How many samples there are under a filter, and how many for each other status and class."""
    with store.database.read() as session:
        by_status = _count_by(session, Sample.status, conditions(wanted, leave_out="status"))
        by_class = _count_by_class(session, wanted)
    return SampleCounts(
        matching=by_status.get(wanted.status, 0) if wanted.status else sum(by_status.values()),
        by_status={status: by_status.get(status, 0) for status in SAMPLE_STATUSES},
        by_class=by_class,
    )


def _count_by(
    session: Session, column: InstrumentedAttribute[Any], wanted: list[sa.ColumnElement[bool]]
) -> dict[Any, int]:
    query = sa.select(column, sa.func.count()).where(*wanted).group_by(column)
    found: dict[Any, int] = dict(session.execute(query).all())
    return found


def _count_by_class(session: Session, wanted: SampleFilter) -> dict[int, int]:
    others = conditions(wanted, leave_out="class_id")
    # Without a filter the samples need not be looked at.
    joined = [SampleClass.sample_id == Sample.id, *others] if others else []
    return _count_by(session, SampleClass.class_id, joined)


def get_sample(
    store: Store, sample_id: str, *, champion_id: str | None = None, within: SampleOrder | None = None
) -> SampleView:
    """One sample with all its layers and its history.

    Args:
        store: Where it is.
        sample_id: The sample.
        champion_id: The live checkpoint. If it has not looked at the image, what the one saw that was live
            when the batch was taken in is shown.
        within: The list in which the samples before and after it are looked for; all of them if left out.

    Raises:
        NotFound: If there is no such sample.
    """
    with store.database.read() as session:
        sample = session.get(Sample, sample_id)
        if sample is None:
            raise unknown(sample_id)
        return view_of(session, sample, champion_id, _neighbours(session, sample, within or SampleOrder()))


def _neighbours(session: Session, sample: Sample, within: SampleOrder) -> list[str | None]:
    """Ids of the samples before and after it."""
    here = Place(sample.id, sample.disagreement)
    ways = (
        walk(session, within, within.sort, start=here, limit=1, backwards=is_back)
        for is_back in (True, False)
    )
    return [way[0].id if way else None for way in ways]


def image_sha256(store: Store, sample_id: str, *, is_thumbnail: bool) -> str:
    """Under what a sample's image is stored; in place of a thumbnail that was never made the image itself.

    Raises:
        NotFound: If there is no such sample, or no image of it.
    """
    with store.database.read() as session:
        sample = session.get(Sample, sample_id)
    if sample is None:
        raise unknown(sample_id)
    found = (sample.thumbnail_sha256 if is_thumbnail else None) or sample.blob_sha256
    if found is None:
        raise NotFound(f"Sample {sample_id} has no image yet, or none that could be read; see its reason.")
    return found


def unknown(sample_id: str) -> NotFound:
    """The error for an id that no sample has."""
    return NotFound(f"There is no sample {sample_id}. GET /api/samples lists all of them.")
