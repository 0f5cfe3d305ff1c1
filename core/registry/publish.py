"""What is live: one file for inference services, one ledger row for everybody else.

All of a promotion is written aside before any of it is renamed, and the ledger's transaction commits
last: the ledger never names weights that are not there.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock

from core.registry import checkpoints
from core.registry.files import Replacement
from core.store import Store
from core.store.tables import Checkpoint, LedgerEntry, utc_now

PUBLISHED_WEIGHTS = "best_finetune.pt"
LAST_METRICS = "last_metrics.json"
CHAMPION = "champion.json"


def published_path(store: Store) -> Path:
    """The weights that are live."""
    return store.settings.weights_dir / PUBLISHED_WEIGHTS


def champion(store: Store) -> Checkpoint | None:
    """The published checkpoint, or none before the first."""
    query = (
        sa.select(Checkpoint)
        .join(LedgerEntry, LedgerEntry.checkpoint_id == Checkpoint.id)
        .order_by(LedgerEntry.id.desc())
        .limit(1)
    )
    with store.database.read() as session:
        return session.scalar(query)


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

    Repeating it for the checkpoint that is live already writes the files again and adds no row.

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
    with _only_one_at_a_time(store):
        live = champion(store)
        live_id = live.id if live else None
        if live_id not in (instead_of, candidate.id):
            return False
        source = checkpoints.verified_weights(store, candidate)
        manifest = {
            **candidate.manifest,
            "promoted_by": actor,
            "promoted_at": utc_now().isoformat(),
            "reason": reason,
        }
        with Replacement() as new, store.database.write() as session:
            new.add_copy(published_path(store), source, "the published weights")
            new.add_text(store.settings.weights_dir / CHAMPION, json.dumps(manifest, indent=2), CHAMPION)
            if live_id != candidate.id:
                session.add(_promotion(candidate, live_id, actor, reason, run_id))
                session.flush()
            new.commit()
        return True


def write_last_metrics(store: Store, metrics: dict[str, Any]) -> None:
    """Write `last_metrics.json`: figures and hyperparameters of the newest run, published or not.

    Raises:
        DiskFull: If there is no space; the old file stays.
    """
    with Replacement() as new:
        new.add_text(store.settings.weights_dir / LAST_METRICS, json.dumps(metrics, indent=2), LAST_METRICS)
        new.commit()


@contextmanager
def _only_one_at_a_time(store: Store) -> Iterator[None]:
    with FileLock(store.settings.data_dir / "publish.lock"):
        yield


def _promotion(
    candidate: Checkpoint, live_id: str | None, actor: str, reason: str, run_id: str | None
) -> LedgerEntry:
    return LedgerEntry(
        action="promote",
        checkpoint_id=candidate.id,
        previous_id=live_id,
        run_id=run_id,
        actor=actor,
        reason=reason,
    )
