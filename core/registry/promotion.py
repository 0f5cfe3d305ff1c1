"""Promote and roll back, as a person asks for it: by either door, on the command line, or in Python.

Who asks names the champion that he saw, so that two who act at once cannot cross: the second is refused and
told what is live now.
"""

import sqlalchemy as sa

from core.errors import ChampionChanged, InvalidRequest, NoEarlierChampion, NotFound, OverrideNeeded
from core.registry import checkpoints, ledger, proof, publish
from core.registry.ledger import PublishedModel
from core.schemas import Verdict
from core.store import Store
from core.store.tables import Checkpoint, LedgerEntry, Run, utc_now

OVERRIDE_WORD = "override"
"""What has to be typed to publish a checkpoint whose verdict is `fail`, or that no run has judged."""


def promote(
    store: Store,
    checkpoint_id: str,
    *,
    expected_champion_id: str | None,
    actor: str,
    reason: str,
    override: str | None = None,
) -> PublishedModel:
    """Make a checkpoint the champion; asking again for the one that is live changes nothing.

    Takes some seconds if no other process has loaded the weights yet.

    Args:
        store: Holds ledger and files.
        checkpoint_id: What is to become live.
        expected_champion_id: What is live, as the caller knows it; none if nothing is.
        actor: Who asks.
        reason: Why, for the ledger.
        override: `OVERRIDE_WORD`, to publish what was judged worse, or was not judged.

    Raises:
        NotFound: If there is no such checkpoint.
        InvalidRequest: If no reason is given.
        ChampionChanged: If another checkpoint is live.
        OverrideNeeded: If its verdict does not allow it.
        PublishFailed: If the weights cannot be loaded by another process, or not be written.
        CheckpointDamaged: If they are not those that were registered.
        DiskFull: If there is no space. In all cases what was live stays live.
    """
    checkpoint = checkpoints.get(store, checkpoint_id)
    _refuse_without_reason(reason)
    live = publish.champion(store)
    if live is not None and live.id == checkpoint_id:
        return ledger.live_now(store)
    _refuse_other_champion(live, expected_champion_id)
    verdict = verdict_of(store, checkpoint)
    is_override = needs_override(checkpoint, verdict)
    if is_override and override != OVERRIDE_WORD:
        raise _override_needed(checkpoint, verdict)
    entry = _entry("promote", checkpoint, live, actor, reason)
    entry.verdict, entry.is_override = verdict, is_override
    return _put_live(store, entry, checkpoint)


def roll_back(
    store: Store,
    *,
    expected_champion_id: str,
    actor: str,
    reason: str,
    to: str | None = None,
) -> PublishedModel:
    """Make an earlier champion the champion again, also if its files are damaged here.

    Args:
        store: Holds ledger and files.
        expected_champion_id: What is live, as the caller knows it.
        actor: Who asks.
        reason: Why, for the ledger.
        to: An earlier champion; when left out, the one before what is live.

    Raises:
        InvalidRequest: If no reason is given.
        ChampionChanged: If another checkpoint is live.
        NoEarlierChampion: If `to` never was live or is live, or if there is none before.
        PublishFailed: As `promote`, and CheckpointDamaged and DiskFull too.
    """
    _refuse_without_reason(reason)
    live = publish.champion(store)
    _refuse_other_champion(live, expected_champion_id)
    target = checkpoints.get(store, _earlier(store, expected_champion_id, to))
    return _put_live(store, _entry("rollback", target, live, actor, reason), target)


def verdict_of(store: Store, checkpoint: Checkpoint) -> Verdict | None:
    """What the gate said of a checkpoint; none of a baseline, and of what its run has not judged."""
    query = sa.select(Run.summary).where(Run.id == checkpoint.run_id, Run.checkpoint_id == checkpoint.id)
    with store.database.read() as session:
        summary = session.scalar(query)
    return summary["verdict"] if summary else None


def needs_override(checkpoint: Checkpoint, verdict: Verdict | None) -> bool:
    """Whether it goes live only with `OVERRIDE_WORD`: it was judged worse, or its run has not judged it."""
    is_unjudged = verdict is None and checkpoint.run_id is not None
    return is_unjudged or verdict == "fail"


def _put_live(store: Store, entry: LedgerEntry, checkpoint: Checkpoint) -> PublishedModel:
    proof.prove(store, checkpoint)
    if not publish.put_live(store, entry, checkpoint):
        raise _changed(publish.champion(store))
    # Without a number the entry was not needed: meanwhile somebody else has made it the champion.
    return ledger.entry_for(store, entry.id) if entry.id else ledger.live_now(store)


def _entry(
    action: str, checkpoint: Checkpoint, live: Checkpoint | None, actor: str, reason: str
) -> LedgerEntry:
    return LedgerEntry(
        action=action,
        checkpoint_id=checkpoint.id,
        previous_id=live.id if live else None,
        actor=actor,
        reason=reason.strip(),
        created_at=utc_now(),
    )


def _earlier(store: Store, live_id: str, asked: str | None) -> str:
    if asked is None:
        before = ledger.champion_before(store, live_id)
        if before is None:
            raise NoEarlierChampion(f"Nothing was live before {live_id}: there is nothing to roll back to.")
        return before
    if asked == live_id:
        raise NoEarlierChampion(f"{asked} is live already.")
    if not ledger.was_live(store, asked):
        raise NoEarlierChampion(
            f"{asked} never was live, so that nobody can roll back to it. Promote it instead."
        )
    return asked


def _override_needed(checkpoint: Checkpoint, verdict: Verdict | None) -> OverrideNeeded:
    said = f"The verdict on {checkpoint.id} is {verdict}" if verdict else f"No run has judged {checkpoint.id}"
    return OverrideNeeded(
        f"{said}. To publish it in spite of that, type the word {OVERRIDE_WORD} and say why.", verdict=verdict
    )


def _refuse_without_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidRequest("Say why: the reason is written to the ledger.")


def _refuse_other_champion(live: Checkpoint | None, expected_id: str | None) -> None:
    if (live.id if live else None) != expected_id:
        raise _changed(live)


def _changed(live: Checkpoint | None) -> ChampionChanged | NotFound:
    if live is None:
        return NotFound("Nothing is live yet: the first run adopts the baseline.")
    return ChampionChanged(
        f"Live is {live.id}, which is not what you saw. Look at it, then ask again with its id.",
        champion_id=live.id,
    )
