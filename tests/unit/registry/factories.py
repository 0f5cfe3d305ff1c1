"""Checkpoints of a few bytes: the registry never looks inside weights."""

import json
from typing import Any

from core.registry import checkpoints, publish
from core.store import Store
from core.store.tables import Checkpoint
from tests.factories import CLASS_NAMES


def register(store: Store, content: bytes, parent_id: str | None = None) -> Checkpoint:
    """A checkpoint whose weights are these bytes."""
    path = store.settings.home / "new.pt"
    path.write_bytes(content)
    return checkpoints.register(store, path, class_names=CLASS_NAMES, parent_id=parent_id)


def promote(store: Store, checkpoint: Checkpoint, instead_of: str | None, run_id: str | None = None) -> bool:
    """Promote it as Anna does."""
    return publish.promote(
        store, checkpoint, instead_of=instead_of, actor="anna", reason="better", run_id=run_id
    )


def shown(store: Store) -> tuple[bytes, dict[str, Any]]:
    """The published files of a home: weights and manifest."""
    manifest = json.loads((store.settings.weights_dir / "champion.json").read_text())
    return publish.published_path(store).read_bytes(), manifest
