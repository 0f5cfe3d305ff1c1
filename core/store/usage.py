"""What everything that is kept takes: in the database, in the blob store, and on the disk of `TMS_HOME`."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import sqlalchemy as sa

from core.store import Store
from core.store.blobs import files_below


@dataclass(frozen=True)
class StorageUsage:
    """Sizes in bytes.

    Attributes:
        database: The database, wherever it is.
        blobs: Images, weights, dataset revisions and resume states, wherever the blob store is.
        weights: `finetune_weight/`: what is published, and every checkpoint.
        runs: `runs/`: training artefacts, without what is only a further name of a file elsewhere.
        logs: `logs/`.
        caches: Copies from a blob store elsewhere, and the demo.
        disk_free: Left on the disk of `TMS_HOME`.
        disk_total: Of that disk.
    """

    database: int
    blobs: int
    weights: int
    runs: int
    logs: int
    caches: int
    disk_free: int
    disk_total: int


def measure(store: Store) -> StorageUsage:
    """Look at every file once: about a second for each hundred thousand.

    Raises:
        BlobStoreUnavailable: If the blob store does not answer.
    """
    settings, disk = store.settings, psutil.disk_usage(str(store.settings.home))
    return StorageUsage(
        database=_database_bytes(store),
        blobs=store.blobs.size_bytes(),
        weights=_bytes_below(settings.weights_dir),
        # A resume state is a hard link into the blob store, where it is counted already.
        runs=sum(found.st_size for found in files_below(settings.runs_dir) if found.st_nlink == 1),
        logs=_bytes_below(settings.logs_dir),
        caches=_bytes_below(settings.demo_dir) + _bytes_below(settings.blob_cache_dir),
        disk_free=disk.free,
        disk_total=disk.total,
    )


def _database_bytes(store: Store) -> int:
    if not store.database.is_sqlite:
        with store.database.read() as session:
            return int(session.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)
    file = store.database.engine.url.database or ""
    sizes = 0
    for part in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            sizes += Path(f"{file}{part}").stat().st_size
    return sizes


def _bytes_below(folder: Path) -> int:
    return sum(found.st_size for found in files_below(folder))
