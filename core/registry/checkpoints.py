"""Checkpoints: weights that never change, each in its folder with a manifest."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.errors import CheckpointDamaged, NotFound
from core.evaluation.metrics import Score
from core.registry.files import Replacement
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Checkpoint, Evaluation, utc_now
from core.training.weights import file_sha256

MANIFEST = "manifest.json"
_LIBRARIES = ("torch", "torchvision", "ultralytics", "numpy", "pillow")


def weights_path(store: Store, checkpoint_id: str) -> Path:
    """Where a checkpoint's weights lie."""
    return store.settings.weights_dir / checkpoint_id / "weights.pt"


def register(
    store: Store,
    weights: Path,
    *,
    class_names: tuple[str, ...],
    parent_id: str | None = None,
    run_id: str | None = None,
    dataset_digest: str | None = None,
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
        recipe: The hyperparameters.

    Raises:
        DiskFull: If there is no space; nothing is registered.
    """
    checkpoint_id = new_id("ckpt")
    facts = {
        "id": checkpoint_id,
        "sha256": file_sha256(weights),
        "parent_id": parent_id,
        "run_id": run_id,
        "dataset_digest": dataset_digest,
        "class_names": list(class_names),
    }
    manifest = {**facts, "recipe": recipe, **_origin()}
    target = weights_path(store, checkpoint_id)
    with Replacement() as new:
        new.add_copy(target, weights, f"the weights of checkpoint {checkpoint_id}")
        new.add_text(target.with_name(MANIFEST), json.dumps(manifest, indent=2), MANIFEST)
        new.commit()
    row = Checkpoint(**facts, manifest=manifest)
    with store.database.write() as session:
        session.add(row)
    return row


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


def verified_weights(store: Store, checkpoint: Checkpoint) -> Path:
    """The path of a checkpoint's weights, after their bytes were compared with the recorded sha256.

    Raises:
        CheckpointDamaged: If the file is missing or not what was recorded.
    """
    path = weights_path(store, checkpoint.id)
    if not path.is_file() or file_sha256(path) != checkpoint.sha256:
        raise CheckpointDamaged(
            f"{path} is missing or its bytes have changed since it was registered. "
            "Restore the file from a backup, or roll back to another checkpoint."
        )
    return path


def record_score(store: Store, run_id: str, checkpoint_id: str, score: Score) -> None:
    """Keep what a checkpoint scored in a run, replacing an earlier attempt of the same run."""
    same = (Evaluation.run_id == run_id, Evaluation.checkpoint_id == checkpoint_id)
    with store.database.write() as session:
        session.execute(sa.delete(Evaluation).where(*same, Evaluation.set_name == score.set_name))
        session.add(
            Evaluation(
                id=new_id("eval"),
                run_id=run_id,
                checkpoint_id=checkpoint_id,
                set_name=score.set_name,
                set_digest=score.set_digest,
                image_count=score.image_count,
                metrics=score.metrics,
                per_class=score.rows(),
            )
        )


def evaluations_of(store: Store, run_id: str) -> list[Evaluation]:
    """All scores of a run, of both checkpoints on every set."""
    query = sa.select(Evaluation).where(Evaluation.run_id == run_id).order_by(Evaluation.id)
    with store.database.read() as session:
        return list(session.scalars(query))


def score_of(store: Store, run_id: str, checkpoint_id: str, set_name: str) -> Score:
    """What a checkpoint scored on a set in a run.

    Raises:
        NotFound: If it was not scored there.
    """
    for row in evaluations_of(store, run_id):
        if (row.checkpoint_id, row.set_name) == (checkpoint_id, set_name):
            return Score(
                set_name=row.set_name,
                set_digest=row.set_digest,
                image_count=row.image_count,
                metrics=row.metrics,
                per_class=tuple(row.per_class),
            )
    raise NotFound(f"Run {run_id} has no score of {checkpoint_id} on {set_name}.")
