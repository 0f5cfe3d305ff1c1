"""Downloads, over real HTTP on loopback, with loopback allowed where the test is not about addresses."""

import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from core.config import Settings
from core.feedback.download import Downloader
from core.feedback.reasons import Refusal
from tests.factories import make_settings, thermal_file
from tests.unit.feedback.servers import dead_address, serving, trickle

CAP_BYTES = 200_000
SECRET = "sig=TOPSECRET"
FILE = thermal_file()

Fetch = Callable[[str], bytes]


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    return Downloader(local_settings(tmp_path)).fetch


def local_settings(home: Path, **changes: Any) -> Settings:
    return make_settings(
        home, **({"image_hosts": "127.0.0.1, localhost", "image_max_bytes": CAP_BYTES} | changes)
    )


def refused(fetch: Fetch, url: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        fetch(url)
    assert SECRET not in caught.value.detail
    return caught.value


def test_gives_the_bytes_as_they_are(fetch: Fetch, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/a.png", query_string=SECRET).respond_with_data(FILE)
    assert fetch(httpserver.url_for(f"/a.png?{SECRET}")) == FILE


def test_sends_nothing_of_the_environment(
    fetch: Fetch, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passwords = tmp_path / "netrc"
    passwords.write_text("machine 127.0.0.1 login me password hunter2\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(passwords))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, dead_address())
    httpserver.expect_request("/a.png").respond_with_data(FILE, headers={"Set-Cookie": "seen=1"})

    for _ in range(2):
        assert fetch(httpserver.url_for("/a.png")) == FILE
    headers = [dict(request.headers) for request, _ in httpserver.log]
    assert len(headers) == 2
    assert not any({"Authorization", "Cookie", "Referer"} & set(sent) for sent in headers)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "fetch_not_found"),
        (410, "fetch_not_found"),
        (401, "fetch_http_error"),
        (403, "fetch_http_error"),
        (204, "fetch_http_error"),
        (206, "fetch_http_error"),
        (304, "fetch_http_error"),
    ],
)
def test_a_status_that_stays_is_refused_at_once(
    fetch: Fetch, httpserver: HTTPServer, status: int, code: str
) -> None:
    httpserver.expect_request("/a.png").respond_with_data(b"", status=status)
    refusal = refused(fetch, httpserver.url_for(f"/a.png?{SECRET}"))
    assert refusal.code == code
    assert str(status) in refusal.detail
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again(fetch: Fetch, httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_ordered_request("/a.png").respond_with_data(b"busy", status=status)
    httpserver.expect_ordered_request("/a.png").respond_with_data(FILE)
    assert fetch(httpserver.url_for("/a.png")) == FILE


def test_a_lasting_failure_is_told_with_its_status(fetch: Fetch, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/a.png").respond_with_data(b"broken", status=503)
    refusal = refused(fetch, httpserver.url_for(f"/a.png?{SECRET}"))
    assert (refusal.code, "503" in refusal.detail) == ("fetch_http_error", True)
    assert len(httpserver.log) > 1


def test_retry_after_is_waited_for(fetch: Fetch, httpserver: HTTPServer) -> None:
    arrived: list[float] = []

    def answer(_: Request) -> Response:
        arrived.append(time.monotonic())
        if len(arrived) == 1:
            return Response(status=429, headers={"Retry-After": "1"})
        return Response(FILE)

    httpserver.expect_request("/a.png").respond_with_handler(answer)
    assert fetch(httpserver.url_for("/a.png")) == FILE
    assert arrived[1] - arrived[0] >= 1


@pytest.mark.parametrize("wait", ["3600", "99999999999999999999", "Fri, 31 Dec 2999 23:59:59 GMT"])
def test_a_wait_beyond_the_deadline_is_not_begun(fetch: Fetch, httpserver: HTTPServer, wait: str) -> None:
    httpserver.expect_request("/a.png").respond_with_data(b"", status=503, headers={"Retry-After": wait})
    assert refused(fetch, httpserver.url_for("/a.png")).code == "fetch_http_error"
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("wait", ["soon", "-1", ""])
def test_a_retry_after_without_sense_is_ignored(fetch: Fetch, httpserver: HTTPServer, wait: str) -> None:
    busy = {"status": 503, "headers": {"Retry-After": wait}}
    httpserver.expect_ordered_request("/a.png").respond_with_data(b"", **busy)
    httpserver.expect_ordered_request("/a.png").respond_with_data(FILE)
    assert fetch(httpserver.url_for("/a.png")) == FILE


def test_a_broken_connection_is_tried_again(fetch: Fetch) -> None:
    calls: list[int] = []

    def answer(connection: socket.socket) -> None:
        calls.append(1)
        if len(calls) > 1:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(FILE) + FILE)

    with serving(answer) as url:
        assert fetch(url) == FILE


def test_a_dead_host(fetch: Fetch) -> None:
    refusal = refused(fetch, f"{dead_address()}/a.png?{SECRET}")
    assert refusal.code == "fetch_unreachable"
    assert "127.0.0.1" in refusal.detail


def test_an_unknown_host_name(fetch: Fetch) -> None:
    refusal = refused(fetch, f"http://no-such-host.invalid/a.png?{SECRET}")
    assert refusal.code == "fetch_unreachable"
    assert "name is not known" in refusal.detail


def test_a_stream_without_end_is_cut_at_the_cap(fetch: Fetch) -> None:
    sent = 0
    hung_up = threading.Event()

    def answer(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while sent < 200_000_000:
                sent += connection.send(bytes(65536))
        except OSError:
            hung_up.set()

    with serving(answer) as url:
        refusal = refused(fetch, f"{url}/a.png?{SECRET}")
        assert hung_up.wait(30)
    assert refusal.code == "fetch_too_large"
    # What exceeds the cap had been taken by the buffers of the operating system.
    assert sent < 20_000_000


def test_an_announced_length_above_the_cap_is_refused_before_the_body(fetch: Fetch) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        connection.recv(1)  # No body comes: only the announcement can be what is refused.

    with serving(answer) as url:
        refusal = refused(fetch, url)
    assert refusal.code == "fetch_too_large"
    assert "190.7 MiB" in refusal.detail


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_in_a_content_coding_counts_unpacked(
    fetch: Fetch, httpserver: HTTPServer, layers: int
) -> None:
    bomb = bytes(100_000_000)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    assert len(bomb) < CAP_BYTES
    coding = ", ".join(["gzip"] * layers)
    httpserver.expect_request("/a.png").respond_with_data(bomb, headers={"Content-Encoding": coding})
    assert refused(fetch, httpserver.url_for("/a.png")).code == "fetch_too_large"


def test_a_content_coding_is_undone(fetch: Fetch, httpserver: HTTPServer) -> None:
    coded = gzip.compress(FILE)
    httpserver.expect_request("/a.png").respond_with_data(coded, headers={"Content-Encoding": "gzip"})
    assert fetch(httpserver.url_for("/a.png")) == FILE


def test_a_body_shorter_than_announced_is_not_taken_for_whole(fetch: Fetch) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(FILE) + FILE[:-100])

    with serving(answer) as url:
        assert refused(fetch, url).code == "fetch_unreachable"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\xff" * 100,
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
    ids=["two lengths", "bad chunk", "bad gzip", "another protocol", "noise", "endless header"],
)
def test_an_answer_that_is_not_http(fetch: Fetch, head: bytes) -> None:
    with serving(lambda connection: connection.sendall(head)) as url:
        assert refused(fetch, f"{url}/a.png?{SECRET}").code == "fetch_unreachable"


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n"
TRICKLES = {
    "status line": (b"", b"H"),
    "headers": (OK, b"X-More: 1\r\n"),
    "one header": (OK + b"X-Never-Ends: ", b"a"),
    "body of a known length": (OK + b"Content-Length: 100000\r\n\r\n", b"a"),
    "body until the end": (OK + b"Connection: close\r\n\r\n", b"a"),
    "chunks": (CHUNKED, b"1\r\na\r\n"),
    "chunk size": (CHUNKED, b"0"),
    # Empty blocks of deflate: the packed body grows, what it unpacks to never does.
    "packed body": (
        OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        b"\x00\x00\x00\xff\xff",
    ),
    "headers of a continue": (CONTINUE, b"X-More: 1\r\n"),
    "continues": (CONTINUE + b"\r\n", CONTINUE + b"\r\n"),
}


@pytest.mark.parametrize(("start", "drop"), TRICKLES.values(), ids=TRICKLES)
def test_a_trickle_ends_at_the_deadline(tmp_path: Path, start: bytes, drop: bytes) -> None:
    """Each drop comes in time for a socket's own time limit; without a deadline this never ends."""
    fetch = Downloader(local_settings(tmp_path, fetch_deadline_s=0.4)).fetch
    with serving(lambda connection: trickle(connection, start, drop)) as url:
        refusal = refused(fetch, f"{url}/a.png?{SECRET}")
    assert refusal.code == "fetch_timeout"
    assert "0.4 s" in refusal.detail


def test_silence_ends_at_the_deadline(tmp_path: Path) -> None:
    fetch = Downloader(local_settings(tmp_path, fetch_deadline_s=0.5)).fetch
    with serving(lambda connection: connection.recv(1)) as url:
        refusal = refused(fetch, f"{url}/a.png?{SECRET}")
    assert refusal.code == "fetch_timeout"
    assert "0.5 s" in refusal.detail


def test_three_redirects_are_followed(fetch: Fetch, httpserver: HTTPServer) -> None:
    for hop in range(3):
        moved = {"Location": f"/{hop + 1}"}
        httpserver.expect_request(f"/{hop}").respond_with_data(b"", status=302, headers=moved)
    httpserver.expect_request("/3").respond_with_data(FILE)
    assert fetch(httpserver.url_for("/0")) == FILE


def test_a_redirect_loop_ends(fetch: Fetch, httpserver: HTTPServer) -> None:
    again = {"Location": f"/a.png?{SECRET}"}
    httpserver.expect_request("/a.png").respond_with_data(b"", status=307, headers=again)
    assert refused(fetch, httpserver.url_for(f"/a.png?{SECRET}")).code == "fetch_too_many_redirects"
    assert len(httpserver.log) == 4


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("file:///etc/passwd", "fetch_refused_url"),
        ("ftp://127.0.0.1/a", "fetch_refused_url"),
        ("http://user:pw@127.0.0.1/a", "fetch_refused_url"),
        ("http://[::1", "fetch_refused_url"),
        ("http://169.254.169.254/latest/meta-data/", "fetch_refused_address"),
        ("http://127.0.0.2:1/", "fetch_refused_address"),
        ("//10.0.0.1/a", "fetch_refused_address"),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(fetch: Fetch, location: str, code: str) -> None:
    moved = f"HTTP/1.1 302 Found\r\nLocation: {location}?{SECRET}\r\nContent-Length: 0\r\n\r\n"
    with serving(lambda connection: connection.sendall(moved.encode())) as url:
        refusal = refused(fetch, url)
    assert refusal.code == code
    assert "pw" not in refusal.detail


def test_query_strings_reach_no_log(
    fetch: Fetch, httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    httpserver.expect_request("/a.png").respond_with_data(FILE)
    fetch(httpserver.url_for(f"/a.png?{SECRET}"))
    odd_header = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n: no name\r\n\r\nok"
    with serving(lambda connection: connection.sendall(odd_header)) as url:
        fetch(f"{url}/a.png?{SECRET}")
    refused(fetch, f"{dead_address()}/a.png?{SECRET}")
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]
    assert not [message for message in ours if SECRET in message]


def test_connections_are_used_again(tmp_path: Path) -> None:
    connections: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        connections.append(connection)
        while True:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(FILE) + FILE)
            if not connection.recv(65536):
                return

    settings = make_settings(tmp_path, image_hosts="127.0.0.1")
    with serving(answer) as url, Downloader(settings) as downloader:
        for number in range(3):
            assert downloader.fetch(f"{url}/{number}") == FILE
    assert len(connections) == 1


def test_threads_share_a_downloader(tmp_path: Path, httpserver: HTTPServer) -> None:
    files = {f"/{number}.png": thermal_file(number) for number in range(12)}
    for path, content in files.items():
        httpserver.expect_request(path).respond_with_data(content)
    fetched: dict[str, bytes] = {}
    with Downloader(make_settings(tmp_path, image_hosts=urlsplit(httpserver.url_for("/")).netloc)) as shared:

        def one(path: str) -> None:
            fetched[path] = shared.fetch(httpserver.url_for(path))

        threads = [threading.Thread(target=one, args=[path]) for path in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert fetched == files
