"""Samples as they are listed, counted and shown, on SQLite and PostgreSQL."""

from collections.abc import Callable
from itertools import combinations
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st
from sqlalchemy import event

from core.errors import InvalidRequest, NotFound
from core.feedback import review
from core.feedback.samples import count_samples, get_sample, list_samples
from core.schemas_review import SampleFilter, SampleOrder, SampleSort, SampleSummary
from core.store import Store
from core.store.tables import Checkpoint, Disagreement, Prediction, Sample
from tests.factories import CLASS_NAMES
from tests.samples import FEED, SPOT, add_batch, add_sample, drawn

WARNING = {"code": "near_duplicate", "detail": "It looks like an earlier image."}
STATUSES = ("pending", "approved", "rejected", "quarantined")
# One after the other, so that each value meets each other one.
MIXED = 48

Matches = Callable[[SampleSummary], bool]


def all_pages(store: Store, wanted: SampleOrder, limit: int = 5) -> list[SampleSummary]:
    """What the pages of a list show, one after the other."""
    found: list[SampleSummary] = []
    cursor = None
    while True:
        page = list_samples(store, wanted, limit=limit, cursor=cursor)
        found += page.samples
        assert len(page.samples) == limit or page.next_cursor is None
        if (cursor := page.next_cursor) is None:
            return found


def ids(samples: list[SampleSummary]) -> list[str]:
    return [sample.id for sample in samples]


@pytest.fixture
def mixed(any_store: Store) -> Store:
    """A store with samples that differ in all that is filtered and sorted by."""
    batches = [add_batch(any_store) for _ in range(3)]
    for number in range(MIXED):
        add_sample(
            any_store,
            batches[number % 3],
            boxes=[(SPOT, class_id) for class_id in range(number % 4)],
            status=STATUSES[number % 4],
            is_holdout=number % 5 == 0,
            warnings=[WARNING] if number % 6 == 0 else [],
            group=(None, "T7", "T8")[number % 7 % 3],
            client_sample_id=(None, "IR_1%", "ir-1", "Ünit/1")[number // 4 % 4],
            disagreement=(None, 0.25, 0.5, 0.1 + 0.2)[number // 3 % 4],
        )
    return any_store


def expected(everything: list[SampleSummary], wanted: SampleOrder) -> list[str]:
    """The same list by plain Python, from all samples, newest first."""
    rules: dict[str, Matches] = {
        "batch_id": lambda one: one.batch_id == wanted.batch_id,
        "status": lambda one: one.status == wanted.status,
        "class_id": lambda one: wanted.class_id in [box.class_id for box in one.detections],
        "is_holdout": lambda one: one.is_holdout == wanted.is_holdout,
        "has_warnings": lambda one: bool(one.warnings) == wanted.has_warnings,
        "group": lambda one: one.group == wanted.group,
        "text": lambda one: (wanted.text or "").lower() in (one.client_sample_id or "").lower(),
    }
    asked = [rule for name, rule in rules.items() if getattr(wanted, name) is not None]
    found = [one for one in everything if all(rule(one) for rule in asked)]
    if wanted.sort == "disagreement":
        # It leaves those with the same score, or with none, newest first.
        found.sort(key=lambda one: -1.0 if one.disagreement is None else one.disagreement, reverse=True)
    return ids(found[::-1] if wanted.sort == "oldest" else found)


_WANTED: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(STATUSES),
    "class_id": st.integers(0, 3),
    "is_holdout": st.booleans(),
    "has_warnings": st.booleans(),
    "group": st.sampled_from(["T7", "T8", "T9"]),
    "text": st.sampled_from(["ir", "_1%", "R-", "/1", "%", "_", "IR_1%", "ünIT"]),
}


def test_every_filter_and_order_lists_what_it_says(mixed: Store) -> None:
    everything = list_samples(mixed, SampleOrder(), limit=MIXED).samples

    @given(
        values=st.fixed_dictionaries({}, optional=_WANTED | {"batch_id": st.just(everything[0].batch_id)}),
        sort=st.sampled_from(get_args(SampleSort)),
        limit=st.integers(1, MIXED),
    )
    @budget(max_examples=40, suppress_health_check=list(HealthCheck))
    def check(values: dict[str, Any], sort: SampleSort, limit: int) -> None:
        wanted = SampleOrder(sort=sort, **values)
        found = all_pages(mixed, wanted, limit)
        assert ids(found) == expected(everything, wanted)
        counts = count_samples(mixed, wanted)
        assert counts.matching == len(found)
        for status in STATUSES:
            others = wanted.model_copy(update={"status": status, "sort": "newest"})
            assert counts.by_status[status] == len(expected(everything, others))
        for class_id in range(3):
            others = wanted.model_copy(update={"class_id": class_id, "sort": "newest"})
            assert counts.by_class.get(class_id, 0) == len(expected(everything, others))

    check()


def test_samples_that_arrive_meanwhile_move_nothing(any_store: Store) -> None:
    before = [add_sample(any_store) for _ in range(7)]
    first = list_samples(any_store, SampleOrder(), limit=3)
    late = add_sample(any_store)
    second = list_samples(any_store, SampleOrder(), limit=3, cursor=first.next_cursor)
    third = list_samples(any_store, SampleOrder(), limit=3, cursor=second.next_cursor)
    assert ids([*first.samples, *second.samples, *third.samples]) == before[::-1]
    assert ids(all_pages(any_store, SampleOrder(sort="oldest"))) == [*before, late]


def test_a_page_goes_on_behind_a_sample_that_left_the_list(store: Store) -> None:
    made = [add_sample(store) for _ in range(4)]
    pending = SampleOrder(status="pending", sort="oldest")
    first = list_samples(store, pending, limit=2)
    review.give_verdict(store, made[1], "approved", seen_revision=1, actor="anna")
    assert ids(list_samples(store, pending, limit=2, cursor=first.next_cursor).samples) == made[2:]


@pytest.mark.parametrize(
    "cursor", ["", "!", "é", "A", "AAAA", "c2FtcGxlLTEgbmFu", "c2FtcGxlLTEgMC41", "x" * 4_000]
)
@pytest.mark.parametrize("sort", ["newest", "oldest"])
def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str, sort: SampleSort) -> None:
    with pytest.raises(InvalidRequest, match="Take it from the page before"):
        list_samples(store, SampleOrder(sort=sort), cursor=cursor)


@pytest.mark.parametrize("cursor", ["c2FtcGxlLTE", "c2FtcGxlLTEgbmFu", "c2FtcGxlLTEgMWU5OTk"])
def test_a_cursor_of_another_order_is_refused(store: Store, cursor: str) -> None:
    """`sample-1` without a score, and with the scores nan and 1e999."""
    with pytest.raises(InvalidRequest):
        list_samples(store, SampleOrder(sort="disagreement"), cursor=cursor)


def test_a_list_reads_no_row_that_it_does_not_show(store: Store) -> None:
    """Whatever the filter and the order, the ids come out of an index that holds all that is asked for."""
    values = {"batch_id": "b", "status": "pending", "class_id": 0, "is_holdout": True, "has_warnings": True,
              "group": "T7", "text": "x"}  # fmt: skip
    assert set(values) == set(SampleFilter.model_fields)
    plans = {}
    for size in range(len(values) + 1):
        for names in combinations(values, size):
            for sort in get_args(SampleSort):
                wanted = SampleOrder(sort=sort, **{name: values[name] for name in names})
                plans[names, sort] = _plan(store, wanted)
    # What has one batch or one group is few, and found by that.
    few = ("batch_id=?", "group=?")
    for asked, plan in plans.items():
        on_samples = [line for line in plan if " sample " in line]
        assert on_samples, plan
        for line in on_samples:
            is_few = "USING INDEX" in line and any(one in line for one in few)
            assert "COVERING INDEX" in line or is_few, (asked, plan)
        if not {"batch_id", "group"} & set(asked[0]):
            assert "USE TEMP B-TREE FOR ORDER BY" not in plan, (asked, plan)


def _plan(store: Store, wanted: SampleOrder) -> list[str]:
    """How SQLite answers the query that finds the ids."""
    asked: list[tuple[str, Any]] = []

    def keep(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(store.database.engine, "before_cursor_execute", keep)
    list_samples(store, wanted)
    event.remove(store.database.engine, "before_cursor_execute", keep)
    statement, parameters = next(one for one in asked if one[0].startswith("SELECT sample.id"))
    with store.database.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [row[3] for row in rows]


class TestOneSample:
    """Everything a screen draws."""

    def test_all_layers(self, any_store: Store) -> None:
        batch_id = add_batch(any_store, note="after the storm")
        sample_id = add_sample(
            any_store,
            batch_id,
            group="T7",
            client_sample_id="IR-1",
            warnings=[WARNING],
            window={"low": 1.0, "high": 2.0},
            cluster="sample-first",
            conflicts_with_id="sample-other",
            thumbnail_sha256="c" * 64,
        )
        review.correct(
            any_store,
            sample_id,
            drawn([((0, 0, 8, 8), 1)]),
            class_names=CLASS_NAMES,
            seen_revision=1,
            actor="anna",
        )
        review.give_verdict(any_store, sample_id, "rejected", seen_revision=2, actor="ben", reason="blurred")
        view = get_sample(any_store, sample_id)
        assert view.image_url == "https://images.example/1.jpg"
        assert (view.image_sha256, view.thumbnail_sha256) == ("b" * 64, "c" * 64)
        assert [box.box.xyxy for box in view.posted] == [SPOT]
        assert [box.box.xyxy for box in view.detections] == [(0, 0, 8, 8)]
        assert [(one.version, one.author) for one in view.versions] == [(1, FEED), (2, "anna")]
        assert [(one.decision, one.actor, one.reason) for one in view.verdicts] == [
            ("rejected", "ben", "blurred")
        ]
        assert (view.warnings[0].code, view.window, view.cluster) == (
            "near_duplicate",
            {"low": 1.0, "high": 2.0},
            "sample-first",
        )
        assert view.conflicts_with_id == "sample-other"
        assert (view.batch.id, view.batch.actor, view.batch.note) == (batch_id, FEED, "after the storm")
        assert view.prediction is None

    def test_what_models_see(self, any_store: Store) -> None:
        seen = {"xyxy": [1.0, 2.0, 9.0, 9.0], "class_id": 1, "confidence": 0.75}
        batch_id = add_batch(any_store, champion_id="ckpt-1")
        sample_id = add_sample(any_store, batch_id, disagreement=0.5)
        with any_store.database.write() as session:
            for one in ("ckpt-1", "ckpt-2"):
                session.add(Checkpoint(id=one, sha256=one, class_names=[], manifest={}))
            session.flush()
            difference = {"kind": "missed"}
            session.add(Prediction(checkpoint_id="ckpt-1", blob_sha256="b" * 64, detections=[seen]))
            session.add(
                Disagreement(sample_id=sample_id, checkpoint_id="ckpt-1", score=0.5, differences=[difference])
            )
        # The live one has not looked at it: then what the one saw that was live when it came in.
        for live in ("ckpt-2", None):
            told = get_sample(any_store, sample_id, champion_id=live).prediction
            assert told is not None
            assert (told.checkpoint_id, told.score, told.differences) == ("ckpt-1", 0.5, [difference])
            assert [(box.class_id, box.confidence) for box in told.detections] == [(1, 0.75)]
        with any_store.database.write() as session:
            session.add(Prediction(checkpoint_id="ckpt-2", blob_sha256="b" * 64, detections=[]))
        told = get_sample(any_store, sample_id, champion_id="ckpt-2").prediction
        assert told is not None
        assert (told.checkpoint_id, told.score, told.detections) == ("ckpt-2", None, [])

    def test_a_sample_in_quarantine_shows_why_and_what_was_posted(self, store: Store) -> None:
        box = {"x_min": 30.0, "y_min": 1.0, "x_max": 10.0, "y_max": 9.0}
        sample_id = add_sample(
            store,
            status="quarantined",
            posted=[{"box": box, "class_name": "no such class"}],
            reason_code="box_inverted",
            reason_detail="Box 1 is inside out.",
            reason_repair="Turn it.",
        )
        view = get_sample(store, sample_id)
        assert view.reason is not None
        assert (view.reason.code, view.reason.detail, view.reason.repair) == (
            "box_inverted",
            "Box 1 is inside out.",
            "Turn it.",
        )
        [posted] = view.posted
        assert (posted.box.model_dump(), posted.class_id, posted.class_name) == (box, None, "no such class")
        assert (view.version, view.detections, view.versions) == (None, [], [])

    @pytest.mark.parametrize("sort", get_args(SampleSort))
    def test_neighbours_are_those_of_the_list(self, mixed: Store, sort: SampleSort) -> None:
        within = SampleOrder(sort=sort, status="pending")
        order = ids(all_pages(mixed, within))
        for position, sample_id in enumerate(order):
            view = get_sample(mixed, sample_id, within=within)
            around = [None, *order, None][position : position + 3]
            assert [view.previous_id, sample_id, view.next_id] == around

    def test_the_next_is_found_from_a_sample_that_left_the_list(self, store: Store) -> None:
        first, second, third = (add_sample(store) for _ in range(3))
        review.give_verdict(store, second, "approved", seen_revision=1, actor="anna")
        view = get_sample(store, second, within=SampleOrder(status="pending"))
        assert (view.previous_id, view.next_id) == (third, first)

    def test_an_unknown_sample(self, store: Store) -> None:
        with pytest.raises(NotFound, match="sample-none"):
            get_sample(store, "sample-none")


def test_what_is_listed_by_follows_the_columns_it_comes_from(any_store: Store) -> None:
    sample_id = add_sample(any_store, client_sample_id="İ" * 200)
    with any_store.database.write() as session:
        sample = session.get_one(Sample, sample_id)
        sample.warnings, sample.client_sample_id = [WARNING], "XY-2"
    for wanted in ({"has_warnings": True}, {"text": "xy"}, {"has_warnings": True, "text": "Y-2"}):
        assert ids(all_pages(any_store, SampleOrder.model_validate(wanted))) == [sample_id]
    for wanted in ({"has_warnings": False}, {"text": "İ"}):
        assert all_pages(any_store, SampleOrder.model_validate(wanted)) == []
    with any_store.database.read() as session:
        kept = session.scalars(sa.select(Sample.client_sample_id_lower)).one()
    assert kept == "xy-2"
