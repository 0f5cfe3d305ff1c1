"""One engine, two kinds of transaction, and migrations that run by themselves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy import event
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_TIMEOUT_MS = 30_000
# Any number no other program uses as an advisory lock in the same database: "TMS" in ASCII.
_POSTGRES_MIGRATION_LOCK = 0x544D53
# Before anybody may take the run of a host that is silent: see `core.store.claims`.
_MOST_IDLE_IN_TRANSACTION_S = 30
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_IDLE_IN_TRANSACTION = "25P03"

AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""What is raised while a database cannot be reached, stays locked, or answers none of our connections."""
_PATIENCE_S = 600.0
_TRY_AGAIN_S = 0.5

Result = TypeVar("Result")


def patiently(work: Callable[[], Result], away: tuple[type[Exception], ...] = AWAY) -> Result:
    """Do something that may be repeated, again and again while the database is away, for ten minutes.

    Args:
        work: What to do.
        away: What says that something is away.

    Raises:
        OperationalError: Or InterfaceError, or another of `away`, if it is away still.
    """
    deadline_s = monotonic() + _PATIENCE_S
    while True:
        try:
            return work()
        except away as error:
            if monotonic() > deadline_s or "disk is full" in str(error):
                raise
            Event().wait(_TRY_AGAIN_S)


class Database:
    """Opens sessions on SQLite or PostgreSQL.

    SQLite runs in WAL mode. A writing transaction takes the write lock when it begins, because one that
    first reads and then writes would otherwise fail, without waiting, when another writer came between.
    """

    def __init__(self, url: str, like: "Database | None" = None) -> None:
        """Connect lazily to a SQLAlchemy URL.

        Args:
            url: Where the database is.
            like: Another one; statements that are compiled for one of the two are compiled for both.
        """
        # Parameters hold image addresses, whose query strings may be secrets: they stay out of error texts.
        self.engine = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)
        if like is not None and like.engine.dialect.name == self.engine.dialect.name:
            # A compiled statement is found again by the dialect it was compiled for.
            self.engine.dialect = like.engine.dialect
            self.engine._compiled_cache = like.engine._compiled_cache
        self._writer = self.engine.execution_options(tms_writes=True)
        self._check: Callable[[Session], None] = lambda session: None
        if self.is_sqlite:
            _prepare_sqlite(self.engine)
        else:
            _prepare_postgres(self.engine)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; its objects stay usable after it closed."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or changes nothing if the block raises."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            self._check(session)
            yield session

    def guarded(self, check: Callable[[Session], None]) -> Self:
        """The same database, whose every writing transaction begins with a check that may refuse it."""
        guarded = copy(self)
        guarded._check = check
        return guarded

    def exclusive(self, session: Session, name: str) -> None:
        """Wait until nobody else's writing transaction holds this name, and hold it until this one ends."""
        # On SQLite the transaction begins here, and it has only one that writes at a time.
        connection = session.connection()
        if not self.is_sqlite:
            key = _POSTGRES_MIGRATION_LOCK, sa.func.hashtext(name)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(*key)))

    def migrate(self, lock_folder: Path) -> None:
        """Bring the tables to the newest version; safe when several processes start at once."""
        if self._is_newest():
            return
        # Here, because it takes a tenth of a second and is needed once in the life of a database.
        from alembic import command
        from alembic.config import Config

        with self._migration_lock(lock_folder), self.engine.connect() as connection:
            if self.is_sqlite:
                _raw(connection).execute("PRAGMA journal_mode=WAL")
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    def _is_newest(self) -> bool:
        newest = max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
        with self.engine.connect() as connection:
            if self.is_sqlite and _raw(connection).execute("PRAGMA journal_mode").fetchone() != ("wal",):
                return False
            if not sa.inspect(connection).has_table("alembic_version"):
                return False
            return bool(connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == newest)

    @contextmanager
    def _migration_lock(self, folder: Path) -> Iterator[None]:
        if self.is_sqlite:
            with FileLock(folder / "migration.lock"):
                yield
            return
        with self.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(_POSTGRES_MIGRATION_LOCK)))
            yield
            connection.execute(sa.select(sa.func.pg_advisory_unlock(_POSTGRES_MIGRATION_LOCK)))

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _raw(connection: sa.Connection) -> Any:
    """SQLite's own connection, without a transaction: the journal's mode is changed outside of one.

    The file remembers the mode. Two that changed it at once would fail without waiting for each other, so it
    is done under the lock of the migration.
    """
    return connection.connection.dbapi_connection


def _prepare_sqlite(engine: sa.Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        # With None the sqlite3 module starts no transaction by itself, so that BEGIN below is the only one.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("tms_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgres(engine: sa.Engine) -> None:
    """Have the server end the transactions of a host that froze or is cut off, and free what they lock."""

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        for limit in ("idle_in_transaction_session_timeout", "tcp_user_timeout"):
            connection.execute(f"SET {limit} = '{_MOST_IDLE_IN_TRANSACTION_S}s'")
        connection.commit()

    @event.listens_for(engine, "handle_error", retval=True)
    def say_that_it_is_away(context: sa.ExceptionContext) -> OperationalError | None:
        error = context.original_exception
        if getattr(error, "sqlstate", None) != _IDLE_IN_TRANSACTION:
            return None
        # The driver counts it among the errors of its own logic, which are not tried again.
        context.is_disconnect = True
        return OperationalError(context.statement, None, error, hide_parameters=True)
