"""What a run keeps while it works, to go on from, and what of it goes when it ends."""

import logging
import shutil
from pathlib import Path

from core.errors import BlobDamaged, BlobStoreUnavailable, ResumeStateDamaged
from core.registry import checkpoints
from core.store import Store, claims, runs
from core.store.blobs import file_sha256
from core.store.claims import Claim
from core.store.tables import Run
from core.training.isolation import PRODUCT_LOGGER
from core.training.weights import STATE_FILE, STATES_LISTED

_MOST_UNNOTED = 20

log = logging.getLogger(PRODUCT_LOGGER)


def bring_state(store: Store, run: Run) -> None:
    """Put the kept state of the last epoch, and no other, where training looks for it.

    Raises:
        ResumeStateDamaged: If it is missing or altered.
    """
    drop_states(store, run, but=run.resume_sha256)
    if not run.resume_sha256:
        return
    try:
        shutil.copyfile(store.blobs.local_path(run.resume_sha256), _state_path(store, run))
    except BlobDamaged as error:
        raise ResumeStateDamaged(
            f"The state after epoch {run.resume_epoch} cannot be used: {error.detail}"
        ) from error


def cancel(store: Store, claim: Claim) -> None:
    """End a cancelled run, after its work has stopped and the device is free: only its record stays."""
    discard(store, claim.run_id)
    claims.end_cancelled(store, claim)


def discard(store: Store, run_id: str) -> None:
    """Remove what a run made: its folder, its candidate, and the state it could have gone on from."""
    try:
        drop_states(store, runs.get_row(store, run_id))
        for candidate in checkpoints.made_by(store, run_id):
            checkpoints.discard(store, candidate.id)
    except BlobStoreUnavailable as error:
        log.warning("Run %s left something behind. %s", run_id, error.detail)
    shutil.rmtree(store.settings.run_folder(run_id), ignore_errors=True)


def drop_states(store: Store, run: Run, but: str | None = None) -> None:
    """Remove the states that a run kept, one too that was put away and not noted before its process died.

    Args:
        store: Where they are.
        run: Whose.
        but: sha256 of one that stays.
    """
    newest = _state_path(store, run)
    unnoted = _last_listed(newest.with_name(STATES_LISTED))
    kept = {run.resume_sha256, file_sha256(newest) if newest.exists() else None, *unnoted} - {but, None}
    for sha256 in filter(None, kept):
        store.blobs.delete(sha256)
    newest.unlink(missing_ok=True)


def _last_listed(path: Path) -> list[str]:
    """States that were put away; the database lags a few epochs behind at most."""
    return path.read_text(encoding="utf-8").split()[-_MOST_UNNOTED:] if path.is_file() else []


def _state_path(store: Store, run: Run) -> Path:
    return store.settings.run_folder(run.id) / STATE_FILE
