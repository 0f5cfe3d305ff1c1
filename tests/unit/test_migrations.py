"""What an older version left behind is there after the migration, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from core.config import CHECKOUT, Settings
from core.store import Store
from core.store.tables import IdempotencyKey, RevisionSample

# What runs of before left: a key, a run, and the revision that it learned from.
_LEFT_BEHIND = (
    "INSERT INTO batch (id, source, actor, note, created_at) VALUES ('b', 'api', 'ada', 'a note', :now)",
    "INSERT INTO dataset_revision (digest, manifest, created_at) VALUES ('d', '{}', :now)",
    "INSERT INTO run (id, batch_id, status, request, dataset_digest, created_at)"
    " VALUES ('r', 'b', 'queued', '{}', 'd', :now)",
    "INSERT INTO idempotency_key (key, body_digest, run_id, created_at) VALUES ('k', 'body', 'r', :now)",
)
_SAMPLE = (
    "INSERT INTO sample (id, batch_id, position, image_url, posted, status, is_holdout, created_at)"
    " VALUES (:id, 'b', :position, '', '[]', :status, :is_holdout, :now)"
)


def _at_once(statement: str) -> sa.TextClause:
    return sa.text(statement.replace(":now", "CURRENT_TIMESTAMP"))


@contextmanager
def _migrations(store: Store) -> Iterator[Config]:
    config = Config()
    config.set_main_option("script_location", str(CHECKOUT / "core/store/migrations"))
    with store.database.engine.connect() as connection:
        config.attributes["connection"] = connection
        yield config
        connection.commit()


@pytest.fixture
def upgraded(unmigrated_settings: Settings) -> Iterator[Store]:
    """A store of the version before feedback was reviewed, with rows in it, brought to the newest."""
    with Store.open(unmigrated_settings) as store:
        with _migrations(store) as config:
            command.downgrade(config, "0002")
        with store.database.write() as session:
            for statement in _LEFT_BEHIND:
                session.execute(_at_once(statement))
            for position, (status, is_holdout) in enumerate(
                [("approved", False), ("approved", True), ("pending", False)]
            ):
                values = {"id": f"s{position}", "position": position, "status": status}
                session.execute(_at_once(_SAMPLE), {**values, "is_holdout": is_holdout})
        with _migrations(store) as config:
            command.upgrade(config, "head")
        yield store


def test_a_key_stands_for_its_run_as_before(upgraded: Store) -> None:
    with upgraded.database.read() as session:
        key = session.get_one(IdempotencyKey, "k")
    assert (key.run_id, key.batch_id, key.body_digest) == ("r", None, "body")


def test_a_key_stands_for_a_run_or_for_a_batch(upgraded: Store) -> None:
    with upgraded.database.write() as session:
        session.add(IdempotencyKey(key="of a batch", body_digest="", batch_id="b"))
    for stands_for in ({"run_id": "r", "batch_id": "b"}, {}):
        key = IdempotencyKey(key="other", body_digest="", **stands_for)
        with pytest.raises(sa.exc.IntegrityError), upgraded.database.write() as session:
            session.add(key)


def test_what_a_run_of_before_learned_from_is_known(upgraded: Store) -> None:
    with upgraded.database.read() as session:
        (row,) = session.scalars(sa.select(RevisionSample))
    known = row.dataset_digest, row.sample_id, row.role, row.correction_version, row.first_epoch
    assert known == ("d", "s0", "feedback", 1, 1)
