"""The published files of one host, and how they change."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Literal

from core.config import Settings
from core.errors import PublishFailed
from core.registry.files import Replacement, remove_leftovers, sync_folder
from core.store.blobs import file_sha256
from core.store.tables import Checkpoint, LedgerEntry

PUBLISHED_WEIGHTS = "best_finetune.pt"
LAST_METRICS = "last_metrics.json"
CHAMPION = "champion.json"
_NOTE = "publish.unfinished"


class Published:
    """Weights for inference services, and beside them the manifest that says which they are."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings that say where they are."""
        self._folder = settings.weights_dir
        self.weights = self._folder / PUBLISHED_WEIGHTS
        self._champion = self._folder / CHAMPION
        self._note = settings.data_dir / _NOTE

    def show(self, entry: LedgerEntry, checkpoint: Checkpoint) -> bool:
        """Whether the manifest is that of this entry; the weights are not read."""
        both_exist = self._champion.is_file() and self.weights.is_file()
        return both_exist and self._champion.read_bytes() == _manifest(entry, checkpoint).encode()

    def are_those_of(self, entry: LedgerEntry, checkpoint: Checkpoint) -> bool:
        """Whether both files are those of this entry, byte for byte."""
        return self.show(entry, checkpoint) and file_sha256(self.weights) == checkpoint.sha256

    @contextmanager
    def written_aside(
        self, entry: LedgerEntry, checkpoint: Checkpoint, weights: Path
    ) -> Iterator[Replacement]:
        """Both files beside the old ones, on disk and read back; what has not appeared is cleared away.

        Raises:
            PublishFailed: If what is read back is not what was written.
            DiskFull: If there is no space.
        """
        with Replacement() as new:
            copy = new.add_copy(self.weights, weights, "the published weights")
            if file_sha256(copy) != checkpoint.sha256:
                raise PublishFailed(
                    f"What was written to {self._folder} is not what is read back: its disk or the memory is "
                    "failing. What was live stays live. Check the disk, then try again."
                )
            new.add_text(self._champion, _manifest(entry, checkpoint), CHAMPION)
            yield new

    def appear(self, new: Replacement) -> Literal[True]:
        """Let both files take the place of the old ones.

        Raises:
            PublishFailed: If one of them cannot.
        """
        try:
            new.commit()
        except OSError as error:
            raise PublishFailed(
                f"The published files could not be replaced: {error}. What was live stays live. On Windows a "
                "reader that holds a file open prevents that: it should read the file and close it."
            ) from error
        return True

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        """A note that the files are being changed, which stays if the block is not left in order."""
        self._note.touch()
        sync_folder(self._note.parent)
        yield
        self._note.unlink(missing_ok=True)

    @property
    def are_in_doubt(self) -> bool:
        """Whether they are being changed, or somebody was killed while they were."""
        return self._note.exists()

    def clear_doubt(self) -> None:
        """Take the note away, and what killed processes wrote aside; nobody may be at work on the files."""
        remove_leftovers(self._folder, PUBLISHED_WEIGHTS, CHAMPION, LAST_METRICS)
        self._note.unlink(missing_ok=True)


def _manifest(entry: LedgerEntry, checkpoint: Checkpoint) -> str:
    """The content of `champion.json`, the same on every host."""
    promotion = {
        "promoted_by": entry.actor,
        "promoted_at": entry.created_at.astimezone(UTC).isoformat(),
        "reason": entry.reason,
    }
    return json.dumps({**checkpoint.manifest, **promotion}, indent=2)
