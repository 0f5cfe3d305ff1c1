"""Which samples, and in which order: conditions, the walk from a place on, and places as text.

The walk reads nothing but an index that holds the order and all that is filtered by, whatever the filter.
"""

import base64
import binascii
import math
import operator
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import InvalidRequest
from core.schemas_review import SampleFilter, SampleSort
from core.store.tables import Sample, SampleClass

Condition = sa.ColumnElement[bool]

_EQUAL = {
    "batch_id": Sample.batch_id,
    "status": Sample.status,
    "is_holdout": Sample.is_holdout,
    "has_warnings": Sample.has_warnings,
    "group": Sample.group,
}
_ESCAPE = "/"
_PLACE = re.compile(r"(?P<id>[A-Za-z0-9_-]{1,64})(?: (?P<disagreement>\S{1,32}))?")
_UNSCORED = "-"


class Place(NamedTuple):
    """Where a sample stands in every order."""

    id: str
    disagreement: float | None = None


def conditions(wanted: SampleFilter, leave_out: str = "") -> list[Condition]:
    """What is true of the samples under a filter.

    Args:
        wanted: The filter.
        leave_out: Its field that does not matter.
    """
    given = wanted.model_dump(include=set(SampleFilter.model_fields) - {leave_out}, exclude_none=True)
    found: list[Condition] = [_EQUAL[name] == value for name, value in given.items() if name in _EQUAL]
    if "class_id" in given:
        is_of_class = sa.and_(SampleClass.class_id == given["class_id"], SampleClass.sample_id == Sample.id)
        found.append(sa.exists().where(is_of_class))
    if "text" in given:
        found.append(Sample.client_sample_id_lower.like(_containing(given["text"]), escape=_ESCAPE))
    return found


def _containing(text: str) -> str:
    text = text.lower()
    for character in (_ESCAPE, "%", "_"):
        text = text.replace(character, _ESCAPE + character)
    return f"%{text}%"


def walk(
    session: Session,
    wanted: SampleFilter,
    sort: SampleSort,
    *,
    start: Place | None = None,
    limit: int,
    backwards: bool = False,
) -> list[Place]:
    """Places of samples in an order, behind a place or, backwards, before it.

    Args:
        session: To read with.
        wanted: Which samples.
        sort: The order.
        start: Where to begin; it need not be one of those samples. Without it, at the first.
        limit: At most so many.
        backwards: From the start towards the first.
    """
    is_descending = (sort != "oldest") != backwards
    found: list[Place] = []
    for stretch in _stretches(sort, start, is_descending=is_descending):
        query = _ordered(sort, is_descending=is_descending).where(stretch, *conditions(wanted))
        if len(found) < limit:
            found += [Place(*row) for row in session.execute(query.limit(limit - len(found)))]
    return found


def _ordered(sort: SampleSort, *, is_descending: bool) -> sa.Select[*tuple[Any, ...]]:
    by_score = [Sample.disagreement] if sort == "disagreement" else []
    keys = (key.desc() if is_descending else key for key in (*by_score, Sample.id))
    # Not a column more than it takes, so that the index is enough.
    return sa.select(Sample.id, *by_score).order_by(*keys)


def _stretches(sort: SampleSort, start: Place | None, *, is_descending: bool) -> Iterator[Condition]:
    """Parts of the order that follow each other: databases differ in where those without a score belong."""
    beyond = operator.lt if is_descending else operator.gt
    if sort != "disagreement":
        yield beyond(Sample.id, start.id) if start else sa.true()
        return
    scored, unscored = Sample.disagreement.is_not(None), Sample.disagreement.is_(None)
    if start is None:
        yield scored
    elif start.disagreement is not None:
        yield beyond(sa.tuple_(Sample.disagreement, Sample.id), (start.disagreement, start.id))
    else:
        yield sa.and_(unscored, beyond(Sample.id, start.id))
        if not is_descending:
            yield scored
        return
    if is_descending:
        yield unscored


def cursor_of(place: Place, sort: SampleSort) -> str:
    """A place in an order as opaque text."""
    score = _UNSCORED if place.disagreement is None else repr(place.disagreement)
    text = f"{place.id} {score}" if sort == "disagreement" else place.id
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(cursor: str, sort: SampleSort) -> Place:
    """The place that `cursor_of` wrote.

    Raises:
        InvalidRequest: If it did not, or for another order.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        return _read_place(text, sort)
    except (binascii.Error, ValueError) as error:
        detail = "The cursor is none of this list. Take it from the page before, or leave it out."
        raise InvalidRequest(detail) from error


def _read_place(text: str, sort: SampleSort) -> Place:
    found = _PLACE.fullmatch(text)
    if found is None or (found["disagreement"] is not None) != (sort == "disagreement"):
        raise ValueError(text)
    if found["disagreement"] in (None, _UNSCORED):
        return Place(found["id"])
    score = float(found["disagreement"])
    if not math.isfinite(score):
        raise ValueError(text)
    return Place(found["id"], score)
