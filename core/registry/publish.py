"""What is live: one file for inference services, one ledger row for everybody else.

A publication takes these steps, each on disk before the next begins:

1. weights and manifest are written aside, and the weights are read back;
2. a note says that the published files are about to change;
3. both files are renamed to their names;
4. the ledger's transaction commits;
5. the note is taken away.

Where the files differ from the ledger, the ledger is right: on a host where the promotion did not happen, or
if somebody was killed, or the database went away, before step 4. `follow` mends that: it compares the
manifest each time, and the weights too where it finds the note.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.orm import Session

from core.errors import BaselineMissing
from core.registry import checkpoints
from core.registry.files import Replacement
from core.registry.published import LAST_METRICS, Published
from core.schemas import Verdict
from core.store import Store, outbox
from core.store.tables import Batch, Checkpoint, LedgerEntry, utc_now


def published_path(store: Store) -> Path:
    """The weights that are live, for readers on this host."""
    return Published(store.settings).weights


def champion(store: Store) -> Checkpoint | None:
    """The published checkpoint, or none before the first."""
    newest = _newest(store)
    return newest[1] if newest else None


def live_at_intake(store: Store, batch_id: str) -> Checkpoint:
    """The champion that was live when a batch was taken in; of one where that was not noted, the present one.

    Raises:
        BaselineMissing: If nothing is live.
    """
    with store.database.read() as session:
        then = session.get_one(Batch, batch_id).champion_id
    live = checkpoints.get(store, then) if then else champion(store)
    if live is None:
        raise BaselineMissing("Nothing is live yet. Start a run; it adopts the baseline first.")
    return live


def ledger(store: Store, limit: int = 20) -> list[LedgerEntry]:
    """Promotions and rollbacks, newest first."""
    query = sa.select(LedgerEntry).order_by(LedgerEntry.id.desc()).limit(limit)
    with store.database.read() as session:
        return list(session.scalars(query))


def promote(
    store: Store,
    candidate: Checkpoint,
    *,
    instead_of: str | None,
    actor: str,
    reason: str,
    run_id: str | None = None,
    verdict: Verdict | None = None,
) -> bool:
    """Make a checkpoint the champion.

    Args:
        store: Holds ledger and files.
        candidate: The checkpoint; its bytes are verified first.
        instead_of: Id of the champion it was judged against.
        actor: Who does it.
        reason: Why, for the ledger.
        run_id: The run that asked for it.
        verdict: What the gate said of it.

    Returns:
        As `put_live`, which also says what it raises.
    """
    entry = LedgerEntry(
        action="promote",
        checkpoint_id=candidate.id,
        previous_id=instead_of,
        run_id=run_id,
        actor=actor,
        reason=reason,
        verdict=verdict,
        created_at=utc_now(),
    )
    return put_live(store, entry, candidate)


def put_live(store: Store, entry: LedgerEntry, checkpoint: Checkpoint) -> bool:
    """Add an entry to the ledger and publish its checkpoint, both or neither.

    Repeating it adds no row: for the checkpoint that is live already the files are written again, and for a
    run that has promoted it before nothing is changed, whatever became champion since.

    Args:
        store: Holds ledger and files.
        entry: Names the checkpoint, and the champion that it takes the place of.
        checkpoint: The checkpoint; its bytes are verified first.

    Returns:
        False, and nothing is changed, if another checkpoint became champion in the meantime.

    Raises:
        CheckpointDamaged: If the weights are not those that were registered.
        PublishFailed: If what was written is not what is read back, or a file could not be replaced.
        DiskFull: If there is no space. In all cases what was live stays live.
    """
    with _only_one_of_this_home(store):
        live = _newest(store)
        if live is not None and live[1].id == checkpoint.id:
            _write_files(store, *live)
            return True
        return _has_promoted(store, entry) or _publish(store, entry, checkpoint)


def follow(store: Store, *, thoroughly: bool = False) -> bool:
    """Make the published files of this host those of the champion, which another host may have promoted.

    Costs one query and one small file while there is nothing to do.

    Args:
        store: Holds ledger and files.
        thoroughly: Compare the weights' bytes too, as a process does when it starts.

    Returns:
        Whether they were changed.

    Raises:
        CheckpointDamaged: If the champion's weights are damaged here and in the blob store.
        BlobStoreUnavailable: If they are to be fetched and the blob store does not answer.
        DiskFull: If there is no space. In all cases the files stay as they were.
    """
    files, live = Published(store.settings), _newest(store)
    is_well = live is None or files.show(*live)
    if is_well and not thoroughly and not files.are_in_doubt:
        return False
    with _only_one_of_this_home(store):
        return _mend(store)


class Follower:
    """Follows the ledger while a process lives; its first look is a thorough one."""

    def __init__(self, store: Store) -> None:
        """Take the store whose published files are to follow."""
        self._store = store
        self._has_looked = False

    def look(self) -> None:
        """Look once; call it every few seconds. Raises as `follow` does."""
        follow(self._store, thoroughly=not self._has_looked)
        self._has_looked = True


def write_last_metrics(store: Store, metrics: dict[str, Any]) -> None:
    """Write `last_metrics.json`: figures and hyperparameters of the newest run, published or not.

    Raises:
        DiskFull: If there is no space; the old file stays.
    """
    with _only_one_of_this_home(store), Replacement() as new:
        new.add_text(store.settings.weights_dir / LAST_METRICS, json.dumps(metrics, indent=2), LAST_METRICS)
        # Nothing is written to the database: but whoever may not write there may not write here either.
        with store.database.write():
            new.commit()


def _newest(store: Store) -> tuple[LedgerEntry, Checkpoint] | None:
    query = (
        sa.select(LedgerEntry, Checkpoint)
        .join(Checkpoint, LedgerEntry.checkpoint_id == Checkpoint.id)
        .order_by(LedgerEntry.id.desc())
        .limit(1)
    )
    with store.database.read() as session:
        row = session.execute(query).one_or_none()
    return (row[0], row[1]) if row else None


def _has_promoted(store: Store, entry: LedgerEntry) -> bool:
    same = {"action": "promote", "checkpoint_id": entry.checkpoint_id, "run_id": entry.run_id}
    query = sa.select(LedgerEntry.id).filter_by(**same).limit(1)
    with store.database.read() as session:
        return entry.run_id is not None and session.scalar(query) is not None


def _publish(store: Store, entry: LedgerEntry, checkpoint: Checkpoint) -> bool:
    files, weights = Published(store.settings), checkpoints.verified_weights(store, checkpoint)
    try:
        with (
            files.written_aside(entry, checkpoint, weights) as new,
            files.in_doubt(),
            store.database.write() as session,
        ):
            return _take_place(store, session, entry, checkpoint) and files.appear(new)
    except BaseException:
        # If it cannot be done now, the files stay in doubt, and whoever looks next does it.
        with suppress(Exception):
            _mend(store)
        raise


def _take_place(store: Store, session: Session, entry: LedgerEntry, checkpoint: Checkpoint) -> bool:
    """Add the entry in the caller's transaction, unless another checkpoint became champion."""
    # The lock of this home keeps no other host out.
    store.database.exclusive(session, checkpoints.LEDGER_LOCK)
    newest_id = sa.select(LedgerEntry.checkpoint_id).order_by(LedgerEntry.id.desc()).limit(1)
    if session.scalar(newest_id) != entry.previous_id:
        return False
    session.add(entry)
    session.flush()
    event: outbox.Event = "promoted" if entry.action == "promote" else "rolled_back"
    outbox.tell(session, event, str(entry.id), _news(entry, checkpoint))
    return True


def _news(entry: LedgerEntry, checkpoint: Checkpoint) -> dict[str, Any]:
    named = ("checkpoint_id", "previous_id", "run_id", "actor", "reason", "verdict", "is_override")
    return {**{name: getattr(entry, name) for name in named}, "sha256": checkpoint.sha256}


def _mend(store: Store) -> bool:
    """Write the published files again unless they are the champion's; the caller holds this home's lock."""
    files, live = Published(store.settings), _newest(store)
    is_well = live is None or files.are_those_of(*live)
    if live is not None and not is_well:
        _write_files(store, *live)
    files.clear_doubt()
    return not is_well


def _write_files(store: Store, entry: LedgerEntry, checkpoint: Checkpoint) -> None:
    files, weights = Published(store.settings), checkpoints.verified_weights(store, checkpoint)
    with files.written_aside(entry, checkpoint, weights) as new, files.in_doubt():
        files.appear(new)


def _only_one_of_this_home(store: Store) -> FileLock:
    return FileLock(store.settings.data_dir / "publish.lock")
