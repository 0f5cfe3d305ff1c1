"""Checkpoints: weights that never change, each in its folder with a manifest, and in the blob store."""

import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import BlobDamaged, CheckpointDamaged, NotFound
from core.registry import evaluations
from core.registry.files import Replacement
from core.store import Store
from core.store.blobs import file_sha256
from core.store.ids import new_id
from core.store.tables import Checkpoint, LedgerEntry, Witness, utc_now

MANIFEST = "manifest.json"
LEDGER_LOCK = "ledger"
"""Held by whoever adds to the ledger, or relies on what it does not name."""
_LIBRARIES = ("torch", "torchvision", "ultralytics", "numpy", "pillow")


def weights_path(store: Store, checkpoint_id: str) -> Path:
    """Where a checkpoint's weights lie on this host."""
    return store.settings.weights_dir / checkpoint_id / "weights.pt"


def register(
    store: Store,
    weights: Path,
    *,
    class_names: tuple[str, ...],
    parent_id: str | None = None,
    run_id: str | None = None,
    dataset_digest: str | None = None,
    epochs: int | None = None,
    recipe: dict[str, Any] | None = None,
) -> Checkpoint:
    """Take weights into the registry under a new id.

    Args:
        store: Takes the row; its settings say where the folder goes.
        weights: The file to copy.
        class_names: Ids are positions.
        parent_id: The checkpoint it was fine-tuned from; none for a baseline.
        run_id: The run that made it; none for a baseline.
        dataset_digest: What it learned from.
        epochs: How many epochs of that went into the weights.
        recipe: The hyperparameters.

    Raises:
        DiskFull: If there is no space, and BlobStoreUnavailable if the other hosts' copy cannot be kept.
            In both cases nothing is registered.
    """
    facts = {
        "id": new_id("ckpt"),
        "sha256": file_sha256(weights),
        "parent_id": parent_id,
        "run_id": run_id,
        "dataset_digest": dataset_digest,
        "epochs": epochs,
        "class_names": list(class_names),
    }
    row = Checkpoint(**facts, manifest={**facts, "recipe": recipe, **_origin()})
    target = _write_folder(store, row, weights)
    try:
        # Bytes of its own, from which the file can be restored that an inference service may have spoiled.
        store.blobs.put_file(target, f"the weights of checkpoint {row.id}", as_link=False)
        with store.database.write() as session:
            session.add(row)
    except BaseException:
        shutil.rmtree(target.parent, ignore_errors=True)
        raise
    return row


def _write_folder(store: Store, checkpoint: Checkpoint, weights: Path) -> Path:
    target = weights_path(store, checkpoint.id)
    with Replacement() as new:
        new.add_copy(target, weights, f"the weights of checkpoint {checkpoint.id}")
        new.add_text(target.with_name(MANIFEST), json.dumps(checkpoint.manifest, indent=2), MANIFEST)
        new.commit()
    return target


def _origin() -> dict[str, Any]:
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"libraries": libraries, "host": platform.node(), "created_at": utc_now().isoformat()}


def get(store: Store, checkpoint_id: str) -> Checkpoint:
    """A checkpoint's row.

    Raises:
        NotFound: If there is no such checkpoint.
    """
    with store.database.read() as session:
        row = session.get(Checkpoint, checkpoint_id)
    if row is None:
        raise NotFound(f"There is no checkpoint {checkpoint_id}.")
    return row


def made_by(store: Store, run_id: str) -> list[Checkpoint]:
    """What a run registered: a checkpoint, and one more for each time it was interrupted right behind it."""
    with store.database.read() as session:
        return list(session.scalars(sa.select(Checkpoint).where(Checkpoint.run_id == run_id)))


def verified_weights(store: Store, checkpoint: Checkpoint) -> Path:
    """The path of a checkpoint's weights, after their bytes were compared with the recorded sha256.

    Where they are missing or altered on this host, they are fetched from the blob store.

    Raises:
        CheckpointDamaged: If they are missing or not what was recorded in both places.
        BlobStoreUnavailable: If they are to be fetched and the blob store does not answer.
        DiskFull: If they are to be fetched and there is no space.
    """
    path = weights_path(store, checkpoint.id)
    if path.is_file() and file_sha256(path) == checkpoint.sha256:
        return path
    try:
        kept = store.blobs.local_path(checkpoint.sha256)
    except BlobDamaged as error:
        raise CheckpointDamaged(
            f"{path} is missing or its bytes have changed since it was registered, and so have those in the "
            "blob store. Restore the file from a backup, or roll back to another checkpoint."
        ) from error
    return _write_folder(store, checkpoint, kept)


def discard(store: Store, checkpoint_id: str) -> bool:
    """Remove a checkpoint that was never live: its scores, its weights here and in the blob store, its row.

    May be repeated after it was interrupted. Weights that another host fetched stay there.

    Returns:
        False, and nothing is removed, if there is no such checkpoint or the ledger names it.

    Raises:
        BlobStoreUnavailable: If the blob store does not answer; the row stays.
    """
    with store.database.write() as session:
        # A promotion under way ends before this, or is refused because its checkpoint is gone.
        store.database.exclusive(session, LEDGER_LOCK)
        row = session.get(Checkpoint, checkpoint_id)
        if row is None or _was_live(session, checkpoint_id):
            return False
        _remove_files(store, session, row)
        evaluations.forget(store, session, checkpoint_id)
        session.execute(sa.delete(Witness).where(Witness.checkpoint_id == checkpoint_id))
        session.delete(row)
    return True


def _was_live(session: Session, checkpoint_id: str) -> bool:
    named = sa.or_(LedgerEntry.checkpoint_id == checkpoint_id, LedgerEntry.previous_id == checkpoint_id)
    return session.scalar(sa.select(LedgerEntry.id).where(named).limit(1)) is not None


def _remove_files(store: Store, session: Session, row: Checkpoint) -> None:
    twin = sa.select(Checkpoint.id).where(Checkpoint.sha256 == row.sha256, Checkpoint.id != row.id)
    if session.scalar(twin.limit(1)) is None:
        store.blobs.delete(row.sha256)
    shutil.rmtree(weights_path(store, row.id).parent, ignore_errors=True)
