"""What runs and candidates leave behind, and how much of it is kept.

The ledger decides what may never go: whatever was live can come back. A comparison that somebody asked for
keeps both its checkpoints, and so does a descendant its parent.
"""

import logging
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import BlobStoreUnavailable
from core.registry import checkpoints
from core.store import Store
from core.store.states import ENDED
from core.store.tables import Checkpoint, Comparison, LedgerEntry, Run
from core.training.isolation import PRODUCT_LOGGER

log = logging.getLogger(PRODUCT_LOGGER)


@dataclass(frozen=True)
class Surplus:
    """Something that is kept no longer.

    Attributes:
        kind: The folder of a run that has ended, or a checkpoint that never was live.
        id: Of the run or checkpoint.
        size_bytes: What it takes on this host's disk.
    """

    kind: Literal["run", "checkpoint"]
    id: str
    size_bytes: int


def surplus(store: Store) -> list[Surplus]:
    """What is beyond `TMS_KEEP_RUNS` and `TMS_KEEP_CHECKPOINTS`, the oldest first; nothing is removed."""
    with store.database.read() as session:
        run_ids, checkpoint_ids = _old_runs(store, session), _old_checkpoints(store, session)
    return [
        *(Surplus("run", id_, _size_bytes(store.settings.run_folder(id_))) for id_ in run_ids),
        *(
            Surplus("checkpoint", id_, _size_bytes(checkpoints.weights_path(store, id_).parent))
            for id_ in checkpoint_ids
        ),
    ]


def tidy(store: Store, seen_ids: Collection[str] | None = None) -> list[Surplus]:
    """Remove what is kept no longer, and give it; what cannot be removed now is left for the next time.

    Args:
        store: Where it is.
        seen_ids: Of this only what somebody has seen and agreed to; all of it if not given.
    """
    removed = [one for one in surplus(store) if seen_ids is None or one.id in seen_ids]
    for one in removed:
        if one.kind == "run":
            shutil.rmtree(store.settings.run_folder(one.id), ignore_errors=True)
            continue
        try:
            checkpoints.discard(store, one.id)
        except BlobStoreUnavailable as error:
            log.warning("Checkpoint %s was left. %s", one.id, error.detail)
    return removed


def _old_runs(store: Store, session: Session) -> Iterator[str]:
    ended = sa.select(Run.id).where(Run.status.in_(ENDED)).order_by(Run.id.desc())
    old = session.scalars(ended.offset(store.settings.keep_runs))
    return (run_id for run_id in reversed(list(old)) if store.settings.run_folder(run_id).is_dir())


def _old_checkpoints(store: Store, session: Session) -> list[str]:
    by_hand = Comparison.run_id.is_(None)
    needed: sa.CompoundSelect[tuple[str]] = sa.union(
        sa.select(LedgerEntry.checkpoint_id),
        sa.select(LedgerEntry.previous_id).where(LedgerEntry.previous_id.is_not(None)),
        sa.select(Checkpoint.parent_id).where(Checkpoint.parent_id.is_not(None)),
        sa.select(Run.parent_id).where(Run.parent_id.is_not(None)),
        sa.select(Run.checkpoint_id).where(Run.checkpoint_id.is_not(None), Run.status.not_in(ENDED)),
        sa.select(Comparison.baseline_id).where(by_hand),
        sa.select(Comparison.candidate_id).where(by_hand),
    )
    newest = sa.select(Checkpoint.id).order_by(Checkpoint.id.desc()).limit(store.settings.keep_checkpoints)
    old = sa.select(Checkpoint.id).where(
        Checkpoint.id.not_in(newest.scalar_subquery()), Checkpoint.id.not_in(needed.scalar_subquery())
    )
    return list(session.scalars(old.order_by(Checkpoint.id)))


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
