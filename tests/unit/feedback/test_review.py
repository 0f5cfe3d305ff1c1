"""What reviewers do to a sample, alone and against each other, on SQLite and PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from core.errors import BoxesRefused, NotFound, NothingToUndo, SampleNotReviewable, StaleSample
from core.feedback import review
from core.feedback.samples import get_sample
from core.schemas_review import SampleView
from core.store import Store
from core.store.tables import (
    Batch,
    BatchScore,
    Correction,
    Prediction,
    Sample,
    SampleClass,
    SampleVerdict,
    utc_now,
)
from tests.factories import CLASS_NAMES, Xyxy
from tests.samples import FEED, SIZE_PX, SPOT, Boxes, add_batch, add_sample, drawn, stored
from tests.unit.registry.factories import register

CORNER: Xyxy = (0, 0, 8, 8)
OTHER: Boxes = ((SPOT, 0), (CORNER, 2))


def correct(store: Store, sample_id: str, boxes: Boxes, seen: int, actor: str = "anna") -> int:
    return review.correct(
        store, sample_id, drawn(boxes), class_names=CLASS_NAMES, seen_revision=seen, actor=actor
    )


def decide(store: Store, sample_id: str, decision: Any, seen: int, **more: Any) -> int:
    return review.give_verdict(store, sample_id, decision, seen_revision=seen, **({"actor": "anna"} | more))


def undo(store: Store, sample_id: str, seen: int, actor: str = "anna") -> int:
    return review.undo(store, sample_id, seen_revision=seen, actor=actor)


def boxes_of(view: SampleView) -> list[tuple[Xyxy, int | None]]:
    return [(one.box.xyxy, one.class_id) for one in view.detections]


def steps_of(view: SampleView) -> list[tuple[Any, ...]]:
    """Every step that was kept, as plain values."""
    versions = [
        (one.revision, one.version, one.author, one.undoes, str(one.detections)) for one in view.versions
    ]
    return versions + [
        (one.revision, one.decision, one.actor, one.undoes, one.reason) for one in view.verdicts
    ]


class TestCorrecting:
    """Other boxes for a sample."""

    def test_a_correction_is_a_new_version_and_the_old_one_stays(self, any_store: Store) -> None:
        sample_id = add_sample(any_store)
        assert correct(any_store, sample_id, OTHER, 1) == 2
        view = get_sample(any_store, sample_id)
        assert boxes_of(view) == list(OTHER)
        assert (view.revision, view.version, view.status) == (2, 2, "pending")
        assert [(one.version, one.revision, one.author) for one in view.versions] == [
            (1, 1, FEED),
            (2, 2, "anna"),
        ]
        assert [one.box.xyxy for one in view.posted] == [SPOT]
        assert (
            datetime.now(UTC).timestamp() - datetime.fromisoformat(view.versions[1].created_at).timestamp()
            < 60
        )

    def test_the_classes_by_which_it_is_found_follow(self, any_store: Store) -> None:
        sample_id = add_sample(any_store)
        correct(any_store, sample_id, ((CORNER, 2), (SPOT, 1)), 1)
        with any_store.database.read() as session:
            found = session.scalars(sa.select(SampleClass.class_id).where(SampleClass.sample_id == sample_id))
            assert sorted(found) == [1, 2]

    @pytest.mark.parametrize("status", ["approved", "rejected"])
    def test_the_verdict_stands(self, store: Store, status: str) -> None:
        sample_id = add_sample(store, status=status)
        correct(store, sample_id, (), 1)
        view = get_sample(store, sample_id)
        assert (view.status, view.detections) == (status, [])

    def test_the_very_same_boxes_add_nothing(self, store: Store) -> None:
        sample_id = add_sample(store, boxes=OTHER)
        assert correct(store, sample_id, OTHER[::-1], 1) == 1
        assert len(get_sample(store, sample_id).versions) == 1

    def test_a_small_overhang_is_clipped(self, store: Store) -> None:
        sample_id = add_sample(store)
        correct(store, sample_id, (((-1.5, -2, SIZE_PX[0] + 1, 20), 0),), 1)
        assert boxes_of(get_sample(store, sample_id)) == [((0, 0, SIZE_PX[0], 20), 0)]

    def test_a_class_may_be_named(self, store: Store) -> None:
        sample_id = add_sample(store)
        correct(store, sample_id, ((SPOT, CLASS_NAMES[2]),), 1)  # type: ignore[arg-type]
        assert boxes_of(get_sample(store, sample_id)) == [(SPOT, 2)]

    def test_a_box_of_the_champion_keeps_its_origin_while_it_is_not_touched(self, store: Store) -> None:
        sample_id = add_sample(store)
        with store.database.write() as session:
            added = {"xyxy": [0.0, 0.0, 8.0, 8.0], "class_id": 2, "origin": "champion", "confidence": 0.9}
            sample = session.get_one(Sample, sample_id)
            review.corrections.add(session, sample, [*stored([(SPOT, 0)]), added], "system")
        assert correct(store, sample_id, OTHER, 2) == 2
        correct(store, sample_id, ((CORNER, 2),), 2)
        [kept] = get_sample(store, sample_id).detections
        assert (kept.origin, kept.confidence) == ("champion", 0.9)
        correct(store, sample_id, ((CORNER, 1),), 3)
        [changed] = get_sample(store, sample_id).detections
        assert (changed.origin, changed.confidence) == (None, None)

    @pytest.mark.parametrize(
        ("boxes", "reason", "told"),
        [
            ([((30, 10, 10, 30), 0), (SPOT, 7)], "box_inverted", ["Box 1: x_max 10", "Box 2: class 7"]),
            ([(SPOT, 7)], "class_unknown", ["class 7 is not one of 0 hot joint, 1 cold joint"]),
            ([((0, 0, 90, 9), 0), ((0, 0, 9, 99), 0)], "box_outside", ["Box 1", "26 px", "Box 2", "51 px"]),
            ([((5, 5, 5.5, 30), 0)], "box_too_small", ["Box 1: 0.5 x 25 px"]),
        ],
    )  # fmt: skip
    def test_each_fault_is_named_and_nothing_is_changed(
        self, store: Store, boxes: Boxes, reason: str, told: list[str]
    ) -> None:
        sample_id = add_sample(store)
        before = get_sample(store, sample_id)
        with pytest.raises(BoxesRefused) as refused:
            correct(store, sample_id, boxes, 1)
        assert refused.value.extra["reason"] == reason
        assert [part for part in told if part not in refused.value.detail] == []
        assert get_sample(store, sample_id) == before


class TestVerdicts:
    """Approve, reject, open again."""

    @pytest.mark.parametrize(
        ("decision", "status"), [("approved", "approved"), ("rejected", "rejected"), ("reopened", "pending")]
    )
    def test_a_verdict_is_kept_with_who_and_why(self, any_store: Store, decision: str, status: str) -> None:
        sample_id = add_sample(any_store, status="approved" if decision == "reopened" else "pending")
        assert decide(any_store, sample_id, decision, 1, reason="blurred") == 2
        view = get_sample(any_store, sample_id)
        newest = view.verdicts[-1]
        assert (view.status, view.revision) == (status, 2)
        assert (newest.decision, newest.actor, newest.reason, newest.revision) == (
            decision,
            "anna",
            "blurred",
            2,
        )
        assert (view.decided_by, view.decided_at) == ("anna", newest.created_at)

    @pytest.mark.parametrize("decision", ["approved", "rejected"])
    def test_to_repeat_what_stands_adds_nothing(self, store: Store, decision: str) -> None:
        sample_id = add_sample(store)
        assert decide(store, sample_id, decision, 1, reason="sharp") == 2
        assert decide(store, sample_id, decision, 2) == 2
        assert decide(store, sample_id, decision, 2, reason="sharp") == 2
        assert len(get_sample(store, sample_id).verdicts) == 1

    def test_another_reason_for_what_stands_is_kept(self, store: Store) -> None:
        sample_id = add_sample(store)
        decide(store, sample_id, "rejected", 1)
        assert decide(store, sample_id, "rejected", 2, reason="blurred") == 3
        assert [one.reason for one in get_sample(store, sample_id).verdicts] == [None, "blurred"]

    def test_to_confirm_what_intake_approved_is_a_verdict(self, store: Store) -> None:
        sample_id = add_sample(store, status="approved")
        assert decide(store, sample_id, "approved", 1) == 2
        assert [one.actor for one in get_sample(store, sample_id).verdicts] == [FEED, "anna"]

    def test_to_open_what_waits_adds_nothing(self, store: Store) -> None:
        assert decide(store, add_sample(store), "reopened", 1) == 1

    @pytest.mark.parametrize("is_holdout", [True, False])
    def test_the_side_never_changes(self, store: Store, is_holdout: bool) -> None:
        sample_id = add_sample(store, is_holdout=is_holdout)
        decide(store, sample_id, "rejected", 1)
        correct(store, sample_id, OTHER, 2)
        decide(store, sample_id, "approved", 3)
        undo(store, sample_id, 4)
        assert get_sample(store, sample_id).is_holdout is is_holdout


class TestUndo:
    """One step back, and further."""

    def test_it_goes_back_step_by_step_whoever_made_them(self, any_store: Store) -> None:
        sample_id = add_sample(any_store)
        correct(any_store, sample_id, OTHER, 1)
        decide(any_store, sample_id, "rejected", 2)
        correct(any_store, sample_id, (), 3, actor="ben")
        seen = []
        for revision in (4, 5, 6):
            assert undo(any_store, sample_id, revision, actor="carl") == revision + 1
            view = get_sample(any_store, sample_id)
            seen.append((boxes_of(view), view.status))
        assert seen == [(list(OTHER), "rejected"), (list(OTHER), "pending"), ([(SPOT, 0)], "pending")]
        with pytest.raises(NothingToUndo, match="as intake left it"):
            undo(any_store, sample_id, 7)

    def test_it_is_kept_as_a_step_of_its_own(self, store: Store) -> None:
        sample_id = add_sample(store)
        correct(store, sample_id, OTHER, 1)
        decide(store, sample_id, "approved", 2)
        undo(store, sample_id, 3, actor="ben")
        undo(store, sample_id, 4, actor="ben")
        view = get_sample(store, sample_id)
        approved, reopened = view.verdicts
        assert (reopened.undoes, reopened.decision, reopened.actor) == (approved.id, "reopened", "ben")
        assert [(one.author, one.undoes) for one in view.versions] == [
            (FEED, None),
            ("anna", None),
            ("ben", 2),
        ]

    def test_what_follows_an_undo_is_undone_first(self, store: Store) -> None:
        sample_id = add_sample(store)
        correct(store, sample_id, OTHER, 1)
        undo(store, sample_id, 2)
        correct(store, sample_id, (), 3)
        undo(store, sample_id, 4)
        assert boxes_of(get_sample(store, sample_id)) == [(SPOT, 0)]
        with pytest.raises(NothingToUndo):
            undo(store, sample_id, 5)

    def test_the_approval_of_intake_is_not_undone(self, store: Store) -> None:
        sample_id = add_sample(store, status="approved")
        with pytest.raises(NothingToUndo):
            undo(store, sample_id, 1)
        decide(store, sample_id, "rejected", 1)
        undo(store, sample_id, 2)
        assert get_sample(store, sample_id).status == "approved"


class TestTwoReviewers:
    """The second is told."""

    def test_who_saw_an_older_revision_is_told_who_changed_it_and_when(self, any_store: Store) -> None:
        sample_id = add_sample(any_store)
        decide(any_store, sample_id, "rejected", 1, actor="ben")
        before = steps_of(get_sample(any_store, sample_id))
        for attempt in (
            lambda: correct(any_store, sample_id, OTHER, 1),
            lambda: decide(any_store, sample_id, "approved", 1),
            lambda: undo(any_store, sample_id, 1),
        ):
            with pytest.raises(StaleSample, match=r"ben rejected it on .* UTC\. Look at it again") as told:
                attempt()
            facts = told.value.extra
            assert (facts["revision"], facts["changed_by"], facts["change"]) == (2, "ben", "rejected")
            assert facts["changed_at"] == get_sample(any_store, sample_id).decided_at
        assert steps_of(get_sample(any_store, sample_id)) == before

    def test_a_revision_that_does_not_exist_yet_is_stale_too(self, store: Store) -> None:
        with pytest.raises(StaleSample, match=f"{FEED} corrected it"):
            decide(store, add_sample(store), "approved", 2)

    def test_of_many_at_once_one_wins_and_the_others_are_told_of_him(self, any_store: Store) -> None:
        sample_id = add_sample(any_store)
        start = threading.Barrier(4)

        def attempt(number: int) -> str:
            start.wait()
            try:
                if number % 2:
                    correct(any_store, sample_id, OTHER, 1, actor=f"reviewer-{number}")
                else:
                    decide(any_store, sample_id, "approved", 1, actor=f"reviewer-{number}")
            except StaleSample as error:
                return str(error.extra["changed_by"])
            return "won"

        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(attempt, range(4)))
        winner = f"reviewer-{told.index('won')}"
        assert sorted(told) == sorted(["won", winner, winner, winner])
        view = get_sample(any_store, sample_id)
        assert (view.revision, len(view.versions) + len(view.verdicts)) == (2, 2)


class TestNotReviewable:
    """What cannot be reviewed, and what is not there."""

    @pytest.mark.parametrize(
        ("columns", "told"),
        [
            ({"status": "quarantined", "reason_code": "box_outside", "revision": 1}, "box_outside.*Repair"),
            ({"blob_sha256": None, "intake_number": None}, "still being taken in"),
            # It was repaired, and goes through intake once more.
            ({"intake_number": None}, "still being taken in"),
        ],
    )  # fmt: skip
    def test_it_says_why_and_changes_nothing(self, store: Store, columns: dict[str, Any], told: str) -> None:
        sample_id = add_sample(store, **columns)
        before = steps_of(get_sample(store, sample_id))
        for attempt in (
            lambda: correct(store, sample_id, OTHER, 1),
            lambda: decide(store, sample_id, "approved", 1),
            lambda: undo(store, sample_id, 1),
        ):
            with pytest.raises(SampleNotReviewable, match=told):
                attempt()
        assert steps_of(get_sample(store, sample_id)) == before

    def test_an_unknown_sample(self, store: Store) -> None:
        with pytest.raises(NotFound, match=r"no sample sample-none\. GET /api/samples"):
            decide(store, "sample-none", "approved", 1)


class TestDisagreement:
    """What the champion saw is held against the newest boxes, and against what was approved."""

    def test_it_follows_the_boxes(self, any_store: Store) -> None:
        sample_id = seen_by_the_champion(any_store, OTHER)
        correct(any_store, sample_id, (), 1)
        assert differences(any_store, sample_id) == ["extra", "extra"]
        correct(any_store, sample_id, OTHER, 2)
        assert (get_sample(any_store, sample_id).disagreement, differences(any_store, sample_id)) == (0, [])
        undo(any_store, sample_id, 3)
        assert differences(any_store, sample_id) == ["extra", "extra"]

    def test_the_champion_is_scored_again_once_nothing_is_pending(self, any_store: Store) -> None:
        sample_id = seen_by_the_champion(any_store, OTHER)
        decide(any_store, sample_id, "approved", 1)
        with any_store.database.read() as session:
            batch = session.get_one(Batch, get_sample(any_store, sample_id).batch_id)
        assert (batch.predicted_at, batch.chore_due_at is None) == (None, False)


def seen_by_the_champion(store: Store, boxes: Boxes) -> str:
    """A sample that the champion has looked at and whose batch was scored."""
    champion = register(store, b"weights")
    batch_id = add_batch(store, champion_id=champion.id, taken_in_at=utc_now(), predicted_at=utc_now())
    predicted = [{**box, "confidence": 0.9} for box in stored(boxes)]
    score = {"set_digest": "d", "image_count": 1, "metrics": {}, "per_class": []}
    with store.database.write() as session:
        session.add(Prediction(checkpoint_id=champion.id, blob_sha256="b" * 64, detections=predicted))
        session.add(BatchScore(batch_id=batch_id, checkpoint_id=champion.id, **score))
    return add_sample(store, batch_id)


def differences(store: Store, sample_id: str) -> list[str]:
    prediction = get_sample(store, sample_id).prediction
    assert prediction is not None
    return [one["kind"] for one in prediction.differences]


# One model of it all

_BOXES: tuple[Boxes, ...] = ((), ((SPOT, 0),), OTHER)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("correct"), st.sampled_from(_BOXES)),
        st.tuples(st.just("decide"), st.sampled_from(["approved", "rejected", "reopened"])),
        st.tuples(st.just("undo"), st.none()),
    ),
    max_size=10,
)


class Model:
    """A sample as it should behave: two values, and what they were before each step that stands."""

    def __init__(self, status: str) -> None:
        self.boxes: Boxes = ((SPOT, 0),)
        self.status, self.revision = status, 1
        self.confirms = status == "approved"
        self.undone_by: list[tuple[str, Any]] = []

    def take(self, step: str, value: Any) -> None:
        if step == "undo":
            if self.undone_by:
                name, before = self.undone_by.pop()
                self._change(name, before)
        elif step == "correct":
            if value != self.boxes:
                self.undone_by.append(("boxes", self.boxes))
                self._change("boxes", value)
        else:
            status = {"reopened": "pending"}.get(value, value)
            if status != self.status or (self.confirms and status == "approved"):
                self.undone_by.append(("status", self.status))
                self._change("status", status)

    def _change(self, name: str, value: Any) -> None:
        setattr(self, name, value)
        self.revision += 1
        self.confirms = self.confirms and name != "status"


def take(store: Store, sample_id: str, step: str, value: Any, seen: int) -> None:
    if step == "undo":
        try:
            undo(store, sample_id, seen)
        except NothingToUndo:
            return
    elif step == "correct":
        correct(store, sample_id, value, seen)
    else:
        decide(store, sample_id, value, seen)


def test_after_any_steps_a_sample_is_what_a_simple_model_says(any_store: Store) -> None:
    @given(status=st.sampled_from(["pending", "approved"]), steps=_STEPS)
    @budget(max_examples=15, suppress_health_check=list(HealthCheck))
    def check(status: str, steps: list[tuple[str, Any]]) -> None:
        sample_id, model = add_sample(any_store, status=status), Model(status)
        kept = steps_of(get_sample(any_store, sample_id))
        for step, value in steps:
            take(any_store, sample_id, step, value, model.revision)
            model.take(step, value)
            view = get_sample(any_store, sample_id)
            assert (boxes_of(view), view.status, view.revision) == (
                list(model.boxes),
                model.status,
                model.revision,
            )
            assert set(kept) <= set(steps_of(view))
            kept = steps_of(view)
        assert sorted(step[0] for step in kept if step[0]) == list(range(1, model.revision + 1))

    check()


def test_the_newest_steps_are_in_the_tables_once(store: Store) -> None:
    sample_id = add_sample(store)
    for revision in range(1, 6):
        decide(store, sample_id, "approved" if revision % 2 else "rejected", revision)
    with store.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(SampleVerdict)) == 5
        assert session.scalar(sa.select(sa.func.count()).select_from(Correction)) == 1
