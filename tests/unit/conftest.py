"""Fixtures of unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.config import Settings
from core.store import Store
from tests.factories import make_settings
from tests.object_store import s3_endpoint, s3_url

__all__ = ["hosts", "s3_endpoint", "s3_url"]


@pytest.fixture
def hosts(
    any_settings: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Store, Store]]:
    """Two homes on one database and one blob store: SQLite and a folder, PostgreSQL and a bucket on S3."""
    database = any_settings.create_folders().database
    is_sqlite = database.startswith("sqlite")
    blobs = str(tmp_path / "shared") if is_sqlite else request.getfixturevalue("s3_url")
    here, there = (
        make_settings(tmp_path / name, database_url=database, blob_url=blobs) for name in ("here", "there")
    )
    with Store.open(here) as first, Store.open(there) as second:
        yield first, second
