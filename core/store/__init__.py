"""What is remembered: the database, the image store, and the settings that say where they are."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from sqlalchemy.orm import Session

from core.config import Settings, get_settings
from core.store.blobs import Blobs
from core.store.database import Database


@dataclass(frozen=True)
class Store:
    """One process' hold on all state; close it, or use it in a `with` block."""

    settings: Settings
    database: Database
    blobs: Blobs

    @classmethod
    def open(cls, settings: Settings | None = None, like: Database | None = None) -> Self:
        """Make the folders, migrate the database, and connect.

        Args:
            settings: Those of the process when left out.
            like: A database to share compiled statements with.
        """
        settings = (settings or get_settings()).create_folders()
        database = Database(settings.database, like)
        database.migrate(settings.data_dir)
        return cls(settings, database, Blobs(settings.blobs, settings.blob_cache_dir))

    def guarded(self, check: Callable[[Session], None]) -> Self:
        """The same store, whose every writing transaction begins with a check that may refuse it."""
        return replace(self, database=self.database.guarded(check))

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


__all__ = ["Store"]
