"""The durable queue: DBOS, in the same database as everything else."""

from functools import lru_cache

from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions
from filelock import FileLock
from sqlalchemy.orm import Session

from core.config import Settings
from core.store import Store

QUEUE = "finetune"
WORKFLOW = "finetune"
APPLICATION = "tms-finetune"
# Set by hand: left to itself DBOS takes a hash of the code, and an upgrade would strand the queued runs.
APPLICATION_VERSION = "1"


def prepare(store: Store) -> None:
    """Make the queue's tables, once a process: inside the transaction that enqueues it would be too late."""
    _client(store.settings)


def enqueue(store: Store, session: Session, run_id: str) -> None:
    """Queue a run in the caller's transaction; its id makes sure that it is queued once."""
    options: EnqueueOptions = {
        "queue_name": QUEUE,
        "workflow_name": WORKFLOW,
        "workflow_id": run_id,
        "app_version": APPLICATION_VERSION,
    }
    _client(store.settings).enqueue_in_transaction(session, options, run_id)


def dbos_config(settings: Settings, executor_id: str) -> DBOSConfig:
    """How a worker joins the queue.

    Args:
        settings: Say where the database is.
        executor_id: The same after a restart, so that the worker finds its unfinished run.
    """
    return {
        "name": APPLICATION,
        "system_database_url": settings.database,
        "application_version": APPLICATION_VERSION,
        "executor_id": executor_id,
        "log_level": "WARNING",
    }


@lru_cache(maxsize=4)
def _client(settings: Settings) -> DBOSClient:
    # DBOS migrates only when a worker starts, and a door may be first.
    with FileLock(settings.data_dir / "migration.lock"):
        DBOS.migrate(settings.database)
    return DBOSClient(system_database_url=settings.database, application_name=APPLICATION, lazy=True)
