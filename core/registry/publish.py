"""What is live: one file for inference services, one ledger row for everybody else.

All of a promotion is written aside before any of it is renamed, and the ledger's transaction commits
last: the ledger never names weights that are not there. Where the files differ from the ledger, the ledger is
right: on a host where the promotion did not happen, or if the database went away before the commit.
"""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock

from core.errors import BaselineMissing
from core.registry import checkpoints
from core.registry.files import Replacement
from core.store import Store
from core.store.tables import Batch, Checkpoint, LedgerEntry, utc_now

PUBLISHED_WEIGHTS = "best_finetune.pt"
LAST_METRICS = "last_metrics.json"
CHAMPION = "champion.json"


def published_path(store: Store) -> Path:
    """The weights that are live, for readers on this host."""
    return store.settings.weights_dir / PUBLISHED_WEIGHTS


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
) -> bool:
    """Make a checkpoint the champion.

    Repeating it adds no row: for the checkpoint that is live already the files are written again, and for a
    run that has promoted it before nothing is changed, whatever became champion since.

    Args:
        store: Holds ledger and files.
        candidate: The checkpoint; its bytes are verified first.
        instead_of: Id of the champion it was judged against.
        actor: Who does it.
        reason: Why, for the ledger.
        run_id: The run that asked for it.

    Returns:
        False, and nothing is changed, if another checkpoint became champion in the meantime.

    Raises:
        CheckpointDamaged: If the weights are not those that were registered.
        DiskFull: If there is no space. In both cases what was live stays live.
    """
    entry = LedgerEntry(
        action="promote",
        checkpoint_id=candidate.id,
        previous_id=instead_of,
        run_id=run_id,
        actor=actor,
        reason=reason,
        created_at=utc_now(),
    )
    with _only_one_of_this_home(store):
        live = _newest(store)
        if live is not None and live[1].id == candidate.id:
            _write_files(store, *live)
            return True
        return _has_promoted(store, entry) or _publish(store, entry, candidate)


def follow(store: Store) -> bool:
    """Make the published files of this host those of the champion, which another host may have promoted.

    Costs one query and one small file while there is nothing to do.

    Returns:
        Whether they were changed.

    Raises:
        CheckpointDamaged: If the champion's weights are damaged here and in the blob store.
        BlobStoreUnavailable: If they are to be fetched and the blob store does not answer.
        DiskFull: If there is no space. In all cases the files stay as they were.
    """
    live = _newest(store)
    if live is None or _is_shown(store, *live):
        return False
    with _only_one_of_this_home(store):
        live = _newest(store)
        if live is None or _is_shown(store, *live):
            return False
        _write_files(store, *live)
        return True


def write_last_metrics(store: Store, metrics: dict[str, Any]) -> None:
    """Write `last_metrics.json`: figures and hyperparameters of the newest run, published or not.

    Raises:
        DiskFull: If there is no space; the old file stays.
    """
    with Replacement() as new:
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


def _publish(store: Store, entry: LedgerEntry, candidate: Checkpoint) -> bool:
    newest_id = sa.select(LedgerEntry.checkpoint_id).order_by(LedgerEntry.id.desc()).limit(1)
    with Replacement() as new:
        _add_files(store, new, entry, candidate)
        with store.database.write() as session:
            # The lock of this home keeps no other host out.
            store.database.exclusive(session, checkpoints.LEDGER_LOCK)
            if session.scalar(newest_id) != entry.previous_id:
                return False
            session.add(entry)
            session.flush()
            new.commit()
    return True


def _write_files(store: Store, entry: LedgerEntry, checkpoint: Checkpoint) -> None:
    with Replacement() as new:
        _add_files(store, new, entry, checkpoint)
        new.commit()


def _is_shown(store: Store, entry: LedgerEntry, checkpoint: Checkpoint) -> bool:
    shown = store.settings.weights_dir / CHAMPION
    both_exist = shown.is_file() and published_path(store).is_file()
    return both_exist and shown.read_bytes() == _manifest(entry, checkpoint).encode()


def _add_files(store: Store, new: Replacement, entry: LedgerEntry, checkpoint: Checkpoint) -> None:
    source = checkpoints.verified_weights(store, checkpoint)
    new.add_copy(published_path(store), source, "the published weights")
    new.add_text(store.settings.weights_dir / CHAMPION, _manifest(entry, checkpoint), CHAMPION)


def _manifest(entry: LedgerEntry, checkpoint: Checkpoint) -> str:
    """The content of `champion.json`, the same on every host."""
    promotion = {
        "promoted_by": entry.actor,
        "promoted_at": entry.created_at.astimezone(UTC).isoformat(),
        "reason": entry.reason,
    }
    return json.dumps({**checkpoint.manifest, **promotion}, indent=2)


def _only_one_of_this_home(store: Store) -> FileLock:
    return FileLock(store.settings.data_dir / "publish.lock")
