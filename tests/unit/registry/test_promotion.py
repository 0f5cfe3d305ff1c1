from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from core.errors import (
    ChampionChanged,
    CheckpointDamaged,
    InvalidRequest,
    NoEarlierChampion,
    NotFound,
    OverrideNeeded,
)
from core.registry import checkpoints, ledger, promotion, publish
from core.store.tables import LedgerEntry
from tests.unit.registry.factories import judged, proven, shown


def promote(store, checkpoint, instead_of, **more):
    asked = {"expected_champion_id": instead_of, "actor": "anna", "reason": "better"} | more
    return promotion.promote(store, checkpoint.id, **asked)


def roll_back(store, live, to=None, **more):
    asked = {"expected_champion_id": live.id, "actor": "ben", "reason": "worse in the rain"} | more
    return promotion.roll_back(store, to=to.id if to else None, **asked)


@pytest.fixture
def champions(any_store):
    """Three that were promoted one after the other."""
    found = [proven(any_store, content) for content in (b"1", b"2", b"3")]
    for checkpoint, before in zip(found, [None, *found], strict=False):
        promote(any_store, checkpoint, before.id if before else None)
    return found


def live_id(store):
    return publish.champion(store).id


def test_who_promotes_and_why_is_kept(store):
    first, second = proven(store, b"1"), judged(store, b"2", "not_enough_evidence")
    promote(store, first, None)
    model = promote(store, second, first.id, reason=" sees the bushing ")
    assert (model.id, model.action, model.promoted_by) == (second.id, "promote", "anna")
    assert (model.reason, model.verdict, model.is_override) == (
        "sees the bushing",
        "not_enough_evidence",
        False,
    )
    assert model.live_until is None
    assert model == ledger.live_now(store)
    assert shown(store)[0] == b"2"
    newest, oldest = ledger.entries(store)
    assert (newest.checkpoint_id, newest.previous_id, newest.run_id) == (second.id, first.id, None)
    assert ledger.entries(store, before=newest.id) == [oldest]


def test_rolling_back_goes_further_back_each_time(any_store, champions):
    first, second, third = champions
    model = roll_back(any_store, third)
    assert (model.id, model.action, model.promoted_by) == (second.id, "rollback", "ben")
    assert roll_back(any_store, second).id == first.id
    with pytest.raises(NoEarlierChampion, match="nothing to roll back to"):
        roll_back(any_store, first)
    assert shown(any_store)[0] == b"1"


def test_any_earlier_champion_can_come_back(any_store, champions):
    first, _, third = champions
    assert roll_back(any_store, third, to=first).id == first.id
    assert roll_back(any_store, first, to=third).id == third.id
    assert shown(any_store)[0] == b"3"


def test_what_never_was_live_is_no_earlier_champion(store):
    first, other = proven(store, b"1"), proven(store, b"2")
    promote(store, first, None)
    with pytest.raises(NoEarlierChampion, match="never was live"):
        roll_back(store, first, to=other)
    with pytest.raises(NoEarlierChampion, match="is live already"):
        roll_back(store, first, to=first)
    with pytest.raises(NotFound):
        promotion.promote(store, "ckpt-none", expected_champion_id=first.id, actor="a", reason="r")


def test_an_earlier_champion_comes_back_from_the_blob_store(any_store, champions):
    _, second, third = champions
    checkpoints.weights_path(any_store, second.id).write_bytes(b"spoiled")
    assert roll_back(any_store, third).sha256 == second.sha256
    assert shown(any_store)[0] == b"2"


def test_an_earlier_champion_that_is_damaged_everywhere_leaves_what_is_live(any_store, champions):
    _, second, third = champions
    checkpoints.weights_path(any_store, second.id).write_bytes(b"spoiled")
    any_store.blobs.delete(second.sha256)
    with pytest.raises(CheckpointDamaged):
        roll_back(any_store, third)
    assert live_id(any_store) == third.id
    assert shown(any_store)[0] == b"3"


def test_published_weights_that_are_damaged_are_no_obstacle(any_store, champions):
    _, second, third = champions
    publish.published_path(any_store).write_bytes(b"spoiled")
    assert roll_back(any_store, third).id == second.id
    assert shown(any_store)[0] == b"2"


def test_who_saw_another_champion_is_refused(any_store, champions):
    _, second, third = champions
    other = proven(any_store, b"4")
    for attempt in (lambda: promote(any_store, other, second.id), lambda: roll_back(any_store, second)):
        with pytest.raises(ChampionChanged) as refused:
            attempt()
        assert refused.value.extra == {"champion_id": third.id}
    assert live_id(any_store) == third.id
    assert len(publish.ledger(any_store)) == 3


def test_of_two_operators_who_act_at_once_one_is_refused(hosts):
    here, there = hosts
    first, second, third = (proven(here, content) for content in (b"1", b"2", b"3"))
    promote(here, first, None)
    with ThreadPoolExecutor(2) as pool:
        acting = [
            pool.submit(promote, store, candidate, first.id)
            for store, candidate in ((here, second), (there, third))
        ]
    failed = [each.exception() for each in acting]
    assert sorted(type(error) for error in failed if error) == [ChampionChanged]
    assert len(publish.ledger(here)) == 2
    winner = acting[failed.index(None)].result()
    assert live_id(there) == winner.id


def test_promoting_what_is_live_again_changes_nothing(store):
    first, second = proven(store, b"1"), proven(store, b"2")
    promote(store, first, None)
    model = promote(store, second, first.id)
    # The answer was lost on its way, and the caller asks again.
    assert promote(store, second, first.id, actor="someone else") == model
    assert len(publish.ledger(store)) == 2


@pytest.mark.parametrize("verdict", ["fail", None])
@pytest.mark.parametrize("typed", [None, "", "yes", "Override", "override "])
def test_what_was_judged_worse_or_not_at_all_needs_the_word(store, verdict, typed):
    first, worse = proven(store, b"1"), judged(store, b"2", verdict)
    promote(store, first, None)
    with pytest.raises(OverrideNeeded, match="type the word override") as refused:
        promote(store, worse, first.id, override=typed)
    assert refused.value.extra == {"verdict": verdict}
    assert live_id(store) == first.id


@pytest.mark.parametrize("verdict", ["fail", None])
def test_an_override_is_kept_for_good(store, verdict):
    first, worse = proven(store, b"1"), judged(store, b"2", verdict)
    promote(store, first, None)
    with pytest.raises(InvalidRequest, match="Say why"):
        promote(store, worse, first.id, override="override", reason=" ")
    model = promote(store, worse, first.id, override="override", reason="the test set is wrong")
    assert (model.is_override, model.verdict) == (True, verdict)
    assert ledger.entries(store)[0].is_override


@pytest.mark.parametrize("verdict", ["pass", "not_enough_evidence"])
def test_a_word_that_was_not_needed_is_no_override(store, verdict):
    first, better = proven(store, b"1"), judged(store, b"2", verdict)
    promote(store, first, None)
    assert not promote(store, better, first.id, override="override").is_override


@pytest.mark.parametrize("reason", ["", " \n"])
def test_nothing_happens_without_a_reason(store, reason):
    first, second = proven(store, b"1"), proven(store, b"2")
    with pytest.raises(InvalidRequest, match="Say why"):
        promote(store, first, None, reason=reason)
    promote(store, first, None)
    promote(store, second, first.id)
    with pytest.raises(InvalidRequest, match="Say why"):
        roll_back(store, second, reason=reason)


def test_nothing_can_be_rolled_back_before_anything_is_live(store):
    with pytest.raises(NotFound, match="Nothing is live yet"):
        roll_back(store, proven(store, b"1"))
    with pytest.raises(NotFound, match="Nothing is live yet"):
        promote(store, proven(store, b"1"), "ckpt-somebody")
    with pytest.raises(NotFound, match="Nothing is live yet"):
        ledger.live_now(store)


def test_what_was_live_at_any_moment_is_a_query(any_store, champions):
    _, second, _ = champions
    times = [entry.created_at for entry in reversed(publish.ledger(any_store))]
    for moment, expected in zip(times, champions, strict=True):
        assert ledger.live_at(any_store, moment).id == expected.id
    between = ledger.live_at(any_store, times[2] - timedelta(microseconds=1))
    assert (between.id, between.live_until) == (second.id, times[2].isoformat())
    assert ledger.live_at(any_store, times[2] + timedelta(days=1)).live_until is None
    with pytest.raises(NotFound, match="Nothing was live at"):
        ledger.live_at(any_store, times[0] - timedelta(microseconds=1))


def test_a_manifest_of_an_older_version_is_shown_whole(store):
    checkpoint = proven(store, b"1")
    promote(store, checkpoint, None)
    with store.database.write() as session:
        row = session.get(type(checkpoint), checkpoint.id)
        row.manifest = {**row.manifest, "epochs": 7}
    assert ledger.live_now(store).model_dump()["epochs"] == 7


def test_entries_name_the_run_that_published(store):
    first, second = proven(store, b"1"), proven(store, b"2")
    promote(store, first, None)
    publish.promote(
        store, second, instead_of=first.id, actor="system", reason="gain", run_id="run-1", verdict="pass"
    )
    newest = ledger.entries(store, limit=1)[0]
    assert (newest.run_id, newest.verdict, newest.actor) == ("run-1", "pass", "system")
    with store.database.read() as session:
        assert session.get(LedgerEntry, newest.id).is_override is False
