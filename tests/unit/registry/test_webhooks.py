"""News that leaves the house: signed, to addresses that may be called, until it arrived or is given up."""

import hashlib
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from werkzeug import Response

from core.errors import InvalidRequest, NotFound
from core.jobs.postman import Postman
from core.registry import delivery, promotion, webhooks
from core.store import Store, outbox, runs
from core.store.outbox import EVENTS
from core.store.tables import Delivery, utc_now
from core.trainer import accept
from tests.factories import image, make_settings, request
from tests.processes import wait_until
from tests.unit.feedback.servers import Names, dead_address, serving, trickle
from tests.unit.registry.factories import proven

SECOND = timedelta(seconds=1)


@pytest.fixture
def database(request):
    return getattr(request, "param", "sqlite")


ON_BOTH = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
def store(request, database, tmp_path, httpserver):
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    hosts = f"localhost:{httpserver.port}"
    with Store.open(make_settings(tmp_path, database_url=url, webhook_hosts=hosts)) as store:
        yield store


@pytest.fixture
def hook(store, httpserver):
    """A webhook for everything, at the test's own server."""
    return webhooks.create(store, httpserver.url_for("/hook?token=abc"), EVENTS, actor="anna")


def tell(store, subject="1", event="promoted", **data):
    with store.database.write() as session:
        outbox.tell(session, event, subject, data)


def rows(store):
    with store.database.read() as session:
        return list(session.scalars(sa.select(Delivery).order_by(Delivery.id)))


def make_due(store):
    with store.database.write() as session:
        session.execute(sa.update(Delivery).values(due_at=utc_now() - SECOND))


def received(httpserver):
    return [asked for asked, _ in httpserver.log]


def answer(httpserver, *statuses):
    """Answer one call after the other with these statuses."""
    left = list(statuses)
    httpserver.expect_request("/hook").respond_with_handler(lambda _: Response(status=left.pop(0)))


def test_an_event_arrives_signed(store, hook, httpserver):
    answer(httpserver, 204)
    tell(store, sha256="0f")
    delivery.deliver(store, hook.id)
    [asked] = received(httpserver)
    body = json.loads(asked.data)
    assert (body["event"], body["data"]) == ("promoted", {"sha256": "0f"})
    assert (asked.headers["TMS-Event"], asked.headers["TMS-Delivery"]) == ("promoted", body["id"])
    assert asked.headers["Content-Type"] == "application/json"
    assert dict(asked.args) == {"token": "abc"}
    timestamp, signature = (part.partition("=")[2] for part in asked.headers["TMS-Signature"].split(","))
    signed = timestamp.encode() + b"." + asked.data
    assert signature == hmac.new(hook.secret.encode(), signed, hashlib.sha256).hexdigest()
    assert abs(int(timestamp) - utc_now().timestamp()) < 600
    [row] = rows(store)
    assert (row.status, row.tries, row.error) == ("delivered", 1, None)
    assert delivery.due_webhooks(store) == []


def test_a_secret_is_shown_once(store, hook, httpserver):
    assert hook.secret.startswith("whsec_")
    [listed] = webhooks.list_all(store)
    assert listed.model_dump() == {
        name: value for name, value in hook.model_dump().items() if name != "secret"
    }
    assert "token" not in listed.url
    assert webhooks.create(store, httpserver.url_for("/"), ["verdict"], actor="a").secret != hook.secret


@ON_BOTH
def test_only_what_was_asked_for_is_told_and_only_once(store, httpserver):
    url = httpserver.url_for("/hook")
    for events in (["promoted"], ["verdict", "verdict"]):
        webhooks.create(store, url, events, actor="anna")
    for subject in ("1", "1", "2"):
        tell(store, subject)
    tell(store, "run-1", "run_ended")
    assert [(row.event, row.subject) for row in rows(store)] == [("promoted", "1"), ("promoted", "2")]
    assert webhooks.list_all(store)[1].events == ["verdict"]


def test_what_did_not_happen_is_not_told(store, hook):
    def tell_and_fail():
        with store.database.write() as session:
            outbox.tell(session, "promoted", "1", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tell_and_fail()
    assert rows(store) == []


@ON_BOTH
def test_a_failed_delivery_is_tried_again_later_and_later(store, hook, httpserver):
    answer(httpserver, 503, 500, 200)
    tell(store)
    pauses = []
    for _ in range(2):
        before = utc_now()
        delivery.deliver(store, hook.id)
        pauses.append(rows(store)[0].due_at - before)
        assert delivery.due_webhooks(store) == []
        make_due(store)
    assert delivery.FIRST_PAUSE <= pauses[0] < 2 * delivery.FIRST_PAUSE <= pauses[1]
    [listed] = webhooks.list_all(store)
    assert (listed.pending, listed.dead, listed.last_error) == (
        1,
        0,
        f"http://localhost:{httpserver.port}/hook answered 500.",
    )
    delivery.deliver(store, hook.id)
    [row] = webhooks.deliveries(store, hook.id)
    assert (row.status, row.tries, row.error, row.due_at) == ("delivered", 3, None, None)
    bodies = [asked.data for asked in received(httpserver)]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1


def test_after_the_last_try_it_is_dead_and_stays_visible(store, hook, httpserver):
    answer(httpserver, *[500] * delivery.MOST_TRIES)
    tell(store)
    for _ in range(delivery.MOST_TRIES):
        make_due(store)
        delivery.deliver(store, hook.id)
    make_due(store)
    assert delivery.due_webhooks(store) == []
    delivery.deliver(store, hook.id)
    assert len(received(httpserver)) == delivery.MOST_TRIES
    assert webhooks.list_all(store)[0].dead == 1
    assert webhooks.deliveries(store, hook.id)[0].error.endswith("answered 500.")


@ON_BOTH
def test_whoever_dies_while_he_delivers_is_followed_by_another(store, hook, httpserver):
    answer(httpserver, 200)
    tell(store)
    assert delivery._take(store, hook.id) is not None
    # Nobody else takes it meanwhile.
    assert delivery.due_webhooks(store) == []
    assert delivery._take(store, hook.id) is None
    make_due(store)
    delivery.deliver(store, hook.id)
    assert [(row.status, row.tries) for row in rows(store)] == [("delivered", 2)]


@ON_BOTH
def test_each_delivery_is_taken_by_one_of_many(store, hook, httpserver):
    httpserver.expect_request("/hook").respond_with_data("")
    for subject in range(12):
        tell(store, str(subject))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: delivery.deliver(store, hook.id), range(4)))
    names = [asked.headers["TMS-Delivery"] for asked in received(httpserver)]
    assert sorted(names) == sorted(row.id for row in rows(store))


@ON_BOTH
def test_a_webhook_that_was_removed_is_told_nothing_more(store, hook, httpserver):
    tell(store)
    webhooks.remove(store, hook.id)
    tell(store, "2")
    delivery.deliver(store, hook.id)
    assert received(httpserver) == []
    assert [(row.status, row.error) for row in rows(store)] == [("dead", "The webhook was removed.")]
    assert webhooks.list_all(store) == []
    for act in (webhooks.remove, webhooks.deliveries):
        with pytest.raises(NotFound, match="no webhook"):
            act(store, hook.id)


@ON_BOTH
def test_deliveries_that_arrived_long_ago_are_forgotten(store, hook, httpserver):
    httpserver.expect_request("/hook").respond_with_data("")
    tell(store, "old")
    tell(store, "stuck")
    with store.database.write() as session:
        session.execute(sa.update(Delivery).values(created_at=utc_now() - timedelta(days=31)))
        session.execute(
            sa.update(Delivery)
            .where(Delivery.subject == "stuck")
            .values(due_at=utc_now() + timedelta(days=1))
        )
    tell(store, "new")
    delivery.deliver(store, hook.id)
    assert [row.subject for row in rows(store)] == ["stuck", "new"]


# Addresses


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9/hook", "not public"),
        ("http://localhost:9/hook", "not public"),
        ("http://[::1]/hook", "not public"),
        ("http://10.1.2.3/hook", "not public"),
        ("http://169.254.169.254/latest/meta-data", "not public"),
        ("https://[::ffff:192.168.0.1]/hook", "not public"),
        ("ftp://hooks.example/x", "not an http or https address"),
        ("file:///etc/passwd", "not an http or https address"),
        ("https://anna:secret@hooks.example/x", "user name or password"),
        ("hooks.example", "not an http or https address"),
        ("https://no-such-host.invalid/x?token=abc", "host name is not known"),
    ],
)
def test_an_address_that_may_not_be_called_is_refused(store, url, why):
    with pytest.raises(InvalidRequest, match=why) as refused:
        webhooks.create(store, url, ["promoted"], actor="anna")
    assert "abc" not in refused.value.detail
    assert "secret" not in refused.value.detail
    assert webhooks.list_all(store) == []


def test_a_name_that_turns_private_after_it_was_checked_is_not_called(store, monkeypatch, httpserver):
    names = Names(monkeypatch)
    names.addresses["hooks.example"] = ["93.184.216.34", "127.0.0.1"]
    url = f"http://hooks.example:{httpserver.port}/hook"
    hook = webhooks.create(store, url, ["promoted"], actor="anna")
    tell(store)
    delivery.deliver(store, hook.id)
    assert received(httpserver) == []
    assert "is not public" in rows(store)[0].error


def test_a_redirect_is_not_followed(store, hook, httpserver):
    httpserver.expect_request("/hook").respond_with_data(
        "", status=307, headers={"Location": httpserver.url_for("/elsewhere")}
    )
    tell(store)
    delivery.deliver(store, hook.id)
    assert [asked.path for asked in received(httpserver)] == ["/hook"]
    assert rows(store)[0].error.endswith("answered 307.")


def test_proxies_of_the_environment_are_not_used(store, hook, httpserver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", dead_address())
    monkeypatch.setenv("http_proxy", dead_address())
    answer(httpserver, 200)
    tell(store)
    delivery.deliver(store, hook.id)
    assert rows(store)[0].status == "delivered"


def _at(store, address):
    """A webhook at an address that was allowed when it was set up."""
    host = address.partition("//")[2]
    allowed = store.settings.model_copy(update={"webhook_hosts": host})
    opened = Store.open(allowed)
    return opened, webhooks.create(opened, f"{address}/hook?token=abc", ["promoted"], actor="anna")


def test_a_host_that_is_gone_is_told_without_the_query(store):
    opened, hook = _at(store, dead_address())
    with opened:
        tell(opened)
        delivery.deliver(opened, hook.id)
        error = rows(opened)[0].error
    assert "could not be reached: the connection was refused" in error
    assert "token" not in error


def test_a_host_that_trickles_is_hung_up_on(store, monkeypatch):
    monkeypatch.setattr(delivery, "_LONGEST_TRY_S", 0.3)
    with serving(lambda connection: trickle(connection, b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")) as address:
        opened, hook = _at(store, address)
        with opened:
            tell(opened)
            delivery.deliver(opened, hook.id)
            assert rows(opened)[0].status == "pending"
            assert rows(opened)[0].error.endswith("did not answer within 0.3 s.")


# Who tells and who carries


def test_promotions_rollbacks_and_ends_of_runs_are_told(store, hook):
    first, second = proven(store, b"1"), proven(store, b"2")
    by = {"actor": "ben", "reason": "r"}
    promotion.promote(store, first.id, expected_champion_id=None, **by)
    promotion.promote(store, second.id, expected_champion_id=first.id, **by)
    promotion.roll_back(store, expected_champion_id=second.id, **by)
    with store.database.write() as session:
        run_id = accept(session, request(image("http://x/a.png")), source="t", actor="t").id
    runs.fail(store, run_id, {"code": "disk_full"})
    told = [(body["event"], body["data"]) for body in (json.loads(row.body) for row in rows(store))]
    assert [event for event, _ in told] == ["promoted", "promoted", "rolled_back", "run_ended"]
    assert told[2][1] == {
        "checkpoint_id": first.id, "previous_id": second.id, "run_id": None, "actor": "ben", "reason": "r",
        "verdict": None, "is_override": False, "sha256": first.sha256,
    }  # fmt: skip
    assert told[3][1] == {
        "run_id": run_id, "status": "failed", "checkpoint_id": None, "error": "disk_full"
    }  # fmt: skip


def test_a_webhook_that_hangs_holds_up_no_other(store, hook, httpserver):
    answer(httpserver, 200)
    release = threading.Event()
    with serving(lambda _: release.wait()) as silent:
        host = silent.partition("//")[2]
        both = f"{store.settings.webhook_hosts},{host}"
        with Store.open(store.settings.model_copy(update={"webhook_hosts": both})) as opened:
            slow = webhooks.create(opened, silent, ["promoted"], actor="anna")
            tell(opened)
            postman = Postman(opened)
            postman.look()
            wait_until(lambda: received(httpserver))
            assert {row.webhook_id for row in rows(opened) if row.status == "pending"} >= {slow.id}
            postman.look()
            webhooks.remove(opened, slow.id)
            # The silent one hangs up, which ends the try.
            release.set()
            postman.wait()
