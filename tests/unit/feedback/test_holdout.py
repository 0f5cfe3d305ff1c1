"""What is kept for judging: decided once, by group, and never mixed with what was learned from."""

from collections.abc import Callable
from itertools import count

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core.feedback.holdout import HOLDOUT_STARTS_AT, decide, has_begun, is_holdout
from core.feedback.lookalikes import Lookalike
from core.feedback.reasons import Refusal
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Batch, Sample

Add = Callable[..., list[bool]]


@given(st.text(), st.floats(0, 0.99))
def test_a_larger_share_keeps_what_a_smaller_one_kept(group: str, share: float) -> None:
    assert is_holdout(group, share) <= is_holdout(group, share + 0.01)
    assert not is_holdout(group, 0)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
def test_the_share_is_met(share: float) -> None:
    kept = sum(is_holdout(f"T{number}", share) for number in range(20_000))
    assert abs(kept / 20_000 - share) < 0.01


def test_the_choice_is_the_same_on_every_host() -> None:
    """Fixed for good: another hash would let yesterday's judges be learned from."""
    assert [number for number in range(40) if is_holdout(f"T{number}", 0.15)] == [1, 2, 4, 5, 29]


@pytest.fixture
def add(any_store: Store) -> Add:
    """Take samples in as one batch, by group and content, and give their decisions."""
    numbers = count(1)

    def add(
        *samples: tuple[str | None, str],
        status: str = "approved",
        share: float = 0.5,
        batch_id: str | None = None,
    ) -> list[bool]:
        with any_store.database.write() as session:
            batch = Batch(id=batch_id or new_id("batch"), source="api", actor="a")
            session.add(batch)
            session.flush()
            rows = [_sample(batch.id, position, *one) for position, one in enumerate(samples)]
            for row in rows:
                session.add(row)
                session.flush()
                row.is_holdout = decide(
                    session,
                    row,
                    _same_content(session, row),
                    share,
                    has_begun=has_begun(session, row.batch_id),
                )
                row.status = status
                if status != "quarantined":
                    row.intake_number = next(numbers)
            return [row.is_holdout for row in rows]

    return add


def _sample(batch_id: str, position: int, group: str | None, content: str) -> Sample:
    return Sample(
        id=new_id("sample"),
        batch_id=batch_id,
        position=position,
        image_url="https://images.example/a.png",
        group=group,
        posted=[],
        status="pending",
        cluster=content,
    )


def _same_content(session: Session, sample: Sample) -> list[Lookalike]:
    rows = session.scalars(
        sa.select(Sample).where(Sample.cluster == sample.cluster, Sample.intake_number.is_not(None))
    )
    return [Lookalike(row.id, row.batch_id, row.position, row.cluster or "", row.is_holdout) for row in rows]


GROUPS = [f"G{number}" for number in range(99)]
KEPT_GROUPS = [group for group in GROUPS if is_holdout(group, 0.5)][:3]
LEARNED_GROUPS = [group for group in GROUPS if not is_holdout(group, 0.5)][:3]


def fill(add: Add, count: int = HOLDOUT_STARTS_AT) -> None:
    add(*((f"filler{number}", f"f{number}") for number in range(count)))


def test_the_first_fifty_are_learned_from(add: Add) -> None:
    assert not any(add(*((f"G{number}", f"c{number}") for number in range(HOLDOUT_STARTS_AT + 10))))


def test_from_the_fiftieth_on_the_hash_decides(add: Add) -> None:
    fill(add, HOLDOUT_STARTS_AT - 1)
    assert add((KEPT_GROUPS[0], "a")) == [False]
    assert add((KEPT_GROUPS[1], "b"), (LEARNED_GROUPS[0], "c")) == [True, False]


def test_a_batch_does_not_count_itself(add: Add) -> None:
    """Else the outcome would depend on which of its images arrived first."""
    fill(add, HOLDOUT_STARTS_AT - 1)
    assert not any(add(*((group, f"c{group}") for group in KEPT_GROUPS)))


def test_later_batches_do_not_count(add: Add) -> None:
    """Else intake that is repeated after a kill would come to another outcome."""
    early = new_id("batch")
    fill(add)
    assert add((KEPT_GROUPS[0], "a"), batch_id=early) == [False]


@pytest.mark.parametrize("status", ["pending", "rejected", "quarantined"])
def test_only_approved_samples_open_the_holdout(add: Add, status: str) -> None:
    add(*((f"filler{number}", f"f{number}") for number in range(60)), status=status)
    assert add((KEPT_GROUPS[0], "a")) == [False]


def test_a_group_stays_on_its_side(add: Add) -> None:
    assert add((KEPT_GROUPS[0], "a")) == [False]
    fill(add)
    assert add((KEPT_GROUPS[0], "b"), (KEPT_GROUPS[1], "c")) == [False, True]
    # Whatever the share is later, what judged goes on judging.
    assert add((KEPT_GROUPS[1], "d"), (KEPT_GROUPS[2], "e"), share=0.0) == [True, False]


def test_an_image_stays_on_its_side_under_another_group(add: Add) -> None:
    fill(add)
    assert add((KEPT_GROUPS[0], "a"), (LEARNED_GROUPS[0], "b")) == [True, False]
    assert add((LEARNED_GROUPS[1], "a"), (KEPT_GROUPS[1], "b")) == [True, False]
    assert add((None, "a"), (None, "b")) == [True, False]


@pytest.mark.parametrize(("group", "content"), [(LEARNED_GROUPS[0], "a"), (KEPT_GROUPS[0], "b")])
def test_what_belongs_to_both_sides_is_refused(add: Add, group: str, content: str) -> None:
    fill(add)
    assert add((KEPT_GROUPS[0], "a"), (LEARNED_GROUPS[0], "b")) == [True, False]
    with pytest.raises(Refusal) as caught:
        add((group, content))
    assert caught.value.code == "leak_validation"


def test_without_a_group_the_content_decides(add: Add) -> None:
    fill(add)
    contents = [f"content{number}" for number in range(30)]
    assert add(*((None, content) for content in contents)) == [is_holdout(one, 0.5) for one in contents]


def test_what_was_put_aside_sets_no_precedent(add: Add) -> None:
    add((KEPT_GROUPS[0], "a"), status="quarantined")
    fill(add)
    assert add((KEPT_GROUPS[0], "a")) == [True]
