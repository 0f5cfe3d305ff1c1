from datetime import timedelta

import pytest
import sqlalchemy as sa

from core.errors import InvalidRequest, NotFound
from core.store import Store
from core.store.keys import create_key, find_key, has_keys, includes, list_keys, note_use, revoke_key
from core.store.tables import ApiKey, utc_now


@pytest.fixture
def store(any_store: Store) -> Store:
    """SQLite and PostgreSQL in turn."""
    return any_store


def test_a_key_is_found_by_its_text_and_by_no_other(store: Store):
    plain = create_key(store, "feed-1", "feed")
    found = find_key(store, plain)
    assert found is not None
    assert (found.name, found.scope) == ("feed-1", "feed")
    assert find_key(store, plain[:-1]) is None
    assert find_key(store, found.key_sha256) is None


def test_the_text_of_a_key_is_nowhere_in_the_database(store: Store):
    plain = create_key(store, "feed-1", "feed")
    with store.database.read() as session:
        row = session.execute(sa.select(*ApiKey.__table__.columns)).one()
    assert not any(plain.removeprefix("tms_") in str(value) for value in row)


def test_a_key_has_256_random_bits(store: Store):
    keys = {create_key(store, f"feed-{number}", "feed") for number in range(20)}
    assert len(keys) == 20
    # 43 characters of base64 are the fewest that hold 32 bytes.
    assert all(len(key.removeprefix("tms_")) == 43 for key in keys)


def test_a_revoked_key_is_refused_and_stays_listed(store: Store):
    plain = create_key(store, "feed-1", "feed")
    revoke_key(store, "feed-1")
    assert find_key(store, plain) is None
    assert not has_keys(store)
    assert [key.name for key in list_keys(store) if key.revoked_at] == ["feed-1"]
    with pytest.raises(NotFound, match="No key named feed-1 is in force"):
        revoke_key(store, "feed-1")


def test_a_name_is_never_given_twice(store: Store):
    create_key(store, "feed-1", "feed")
    revoke_key(store, "feed-1")
    with pytest.raises(InvalidRequest, match="Choose another name"):
        create_key(store, "feed-1", "admin")


@pytest.mark.parametrize("name", ["", "local", "system", "a b", "-x", "x" * 65, "é", "a\n"])
def test_a_name_that_could_be_mistaken_is_refused(store: Store, name: str):
    with pytest.raises(InvalidRequest, match="cannot name a key"):
        create_key(store, name, "feed")
    assert list_keys(store) == []


def test_each_scope_includes_those_before_it():
    scopes = ("feed", "operate", "admin")
    allowed = {(held, needed) for held in scopes for needed in scopes if includes(held, needed)}
    assert allowed == {
        ("feed", "feed"),
        ("operate", "feed"), ("operate", "operate"),
        ("admin", "feed"), ("admin", "operate"), ("admin", "admin"),
    }  # fmt: skip


def test_its_last_use_is_kept_to_the_minute(store: Store):
    create_key(store, "feed-1", "feed")
    create_key(store, "feed-2", "feed")
    assert [key.last_used_at for key in list_keys(store)] == [None, None]
    note_use(store, list_keys(store)[0])
    used, other = list_keys(store)
    assert other.last_used_at is None
    assert used.last_used_at is not None
    note_use(store, used)
    assert list_keys(store)[0].last_used_at == used.last_used_at
    used.last_used_at = utc_now() - timedelta(minutes=2)
    note_use(store, used)
    later = list_keys(store)[0].last_used_at
    assert later is not None
    assert later > used.last_used_at
