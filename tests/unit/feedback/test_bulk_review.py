"""One verdict on many samples, on SQLite and PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import StaleSample
from core.feedback import bulk_review, review
from core.feedback.bulk_review import give_verdicts
from core.feedback.samples import get_sample
from core.schemas_review import BulkVerdictRequest, BulkVerdictResult
from core.store import Store
from core.store.tables import Batch, BatchScore, utc_now
from tests.samples import add_batch, add_sample
from tests.unit.registry.factories import register


@pytest.fixture(autouse=True)
def _small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a handful of samples takes several."""
    monkeypatch.setattr(bulk_review, "_PER_TRANSACTION", 3)


def seen(store: Store, *sample_ids: str) -> list[dict[str, Any]]:
    return [{"id": one, "revision": get_sample(store, one).revision} for one in sample_ids]


def decide(store: Store, decision: str, *, actor: str = "anna", **asked: Any) -> BulkVerdictResult:
    request = BulkVerdictRequest.model_validate({"decision": decision, **asked})
    return give_verdicts(store, request, actor=actor)


def statuses(store: Store, sample_ids: list[str]) -> list[str]:
    return [get_sample(store, one).status for one in sample_ids]


def test_each_sample_is_decided_on_its_own(any_store: Store) -> None:
    fine, changed, waiting = (add_sample(any_store) for _ in range(3))
    put_aside = add_sample(any_store, status="quarantined", reason_code="box_outside")
    unfetched = add_sample(any_store, intake_number=None)
    rejected, late = add_sample(any_store), add_sample(any_store)
    review.give_verdict(any_store, rejected, "rejected", seen_revision=1, actor="ben")
    named = [
        *seen(any_store, fine, changed, put_aside, unfetched, rejected),
        {"id": "sample-none", "revision": 1},
        *seen(any_store, late),
    ]
    review.give_verdict(any_store, changed, "approved", seen_revision=1, actor="ben")
    result = decide(any_store, "rejected", samples=named)
    told = {one.id: one for one in result.outcomes}
    assert [one.id for one in result.outcomes] == [one["id"] for one in named]
    assert {sample_id: one.outcome for sample_id, one in told.items()} == {
        fine: "done",
        changed: "stale",
        put_aside: "not_reviewable",
        unfetched: "not_reviewable",
        rejected: "unchanged",
        "sample-none": "not_found",
        late: "done",
    }
    assert result.counts == {"done": 2, "unchanged": 1, "stale": 1, "not_reviewable": 2, "not_found": 1}
    assert (told[fine].revision, told[fine].detail) == (2, None)
    assert "ben approved it on" in (told[changed].detail or "")
    assert "in quarantine" in (told[put_aside].detail or "")
    assert statuses(any_store, [fine, late, changed, waiting]) == [
        "rejected",
        "rejected",
        "approved",
        "pending",
    ]


def test_a_verdict_of_many_is_one_like_any_other(store: Store) -> None:
    sample_ids = [add_sample(store) for _ in range(4)]
    decide(store, "approved", samples=seen(store, *sample_ids), reason="all sharp")
    for one in sample_ids:
        [verdict] = get_sample(store, one).verdicts
        assert (verdict.actor, verdict.reason, verdict.revision) == ("anna", "all sharp", 2)
        review.undo(store, one, seen_revision=2, actor="anna")
    assert statuses(store, sample_ids) == ["pending"] * 4


def test_all_that_a_filter_finds(any_store: Store) -> None:
    batch_id = add_batch(any_store)
    inside = [add_sample(any_store, batch_id) for _ in range(7)]
    outside = add_sample(any_store)
    result = decide(any_store, "approved", filter={"batch_id": batch_id, "status": "pending"}, count=7)
    assert [one.id for one in result.outcomes] == inside
    assert result.counts["done"] == 7
    assert statuses(any_store, [*inside, outside]) == ["approved"] * 7 + ["pending"]


def test_the_champion_is_scored_again_once_nothing_of_a_batch_is_pending(any_store: Store) -> None:
    champion = register(any_store, b"weights")
    score = {"set_digest": "d", "image_count": 1, "metrics": {}, "per_class": []}
    batches = [add_batch(any_store, predicted_at=utc_now()) for _ in range(2)]
    with any_store.database.write() as session:
        for batch_id in batches:
            session.add(BatchScore(batch_id=batch_id, checkpoint_id=champion.id, **score))
    decided = [add_sample(any_store, batches[number % 2]) for number in range(6)]
    add_sample(any_store, batches[1])
    decide(any_store, "approved", samples=seen(any_store, *decided))
    with any_store.database.read() as session:
        scored_again = [session.get_one(Batch, batch_id).predicted_at is None for batch_id in batches]
    assert scored_again == [True, False]


@pytest.mark.parametrize("count", [1, 3])
def test_a_filter_that_finds_others_now_decides_nothing(store: Store, count: int) -> None:
    sample_ids = [add_sample(store) for _ in range(2)]
    with pytest.raises(StaleSample, match=f"finds 2 samples now, and not {count}"):
        decide(store, "approved", filter={"status": "pending"}, count=count)
    assert statuses(store, sample_ids) == ["pending"] * 2


def test_two_who_decide_on_the_same_samples_share_them(any_store: Store) -> None:
    sample_ids = [add_sample(any_store) for _ in range(8)]
    named = seen(any_store, *sample_ids)
    start = threading.Barrier(2)

    def attempt(actor: str) -> BulkVerdictResult:
        start.wait()
        # In opposite orders, which must not make them wait for each other.
        samples = named if actor == "anna" else named[::-1]
        return decide(any_store, "approved", actor=actor, samples=samples)

    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(("anna", "ben"), pool.map(attempt, ("anna", "ben")), strict=True))
    winners = {}
    for actor, result in results.items():
        assert result.counts["done"] + result.counts["stale"] == 8
        winners |= {one.id: actor for one in result.outcomes if one.outcome == "done"}
    assert {one: get_sample(any_store, one).decided_by for one in sample_ids} == winners
    assert all(len(get_sample(any_store, one).verdicts) == 1 for one in sample_ids)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "either samples or filter"),
        ({"samples": [{"id": "a", "revision": 1}], "filter": {}, "count": 1}, "either samples or filter"),
        ({"filter": {}}, "count together with filter"),
        ({"samples": [{"id": "a", "revision": 1}], "count": 1}, "count together with filter"),
        ({"samples": [{"id": "a", "revision": 1}, {"id": "a", "revision": 2}]}, "each sample once"),
        ({"samples": []}, "at least 1"),
        ({"filter": {"colour": "red"}, "count": 1}, "colour"),
        ({"filter": {}, "count": 10_001}, "less than or equal to 10000"),
    ],
)
def test_a_request_that_is_unclear_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        BulkVerdictRequest.model_validate({"decision": "approved", **asked})
