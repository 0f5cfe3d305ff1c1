"""Attacks on the rules for addresses: what must not be reached is really there and listening."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from core.feedback.addresses import check_url, without_secrets
from core.feedback.download import Downloader
from core.feedback.reasons import Refusal
from tests.factories import make_settings, thermal_file
from tests.unit.feedback.attempts import attempt
from tests.unit.feedback.servers import Names, serving, trickle

FILE = thermal_file()
PUBLIC = "93.184.216.34"
CERTIFICATE = Path(__file__).parent / "self_signed.pem"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def fetcher(home: Path, **changes: Any) -> Downloader:
    return Downloader(make_settings(home, **changes))


def refused(downloader: Downloader, url: str) -> str:
    with pytest.raises(Refusal) as caught:
        downloader.fetch(url)
    return caught.value.code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ],
)
def test_loopback_is_refused_however_it_is_written(tmp_path: Path, httpserver: HTTPServer, host: str) -> None:
    httpserver.expect_request("/a.png").respond_with_data(FILE)
    url = f"http://{host}:{httpserver.port}/a.png"
    # Where the system cannot resolve such a spelling, nothing was reached either.
    assert refused(fetcher(tmp_path), url) in ("fetch_refused_address", "fetch_unreachable")
    assert httpserver.log == []


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "192.88.99.1",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2002:a00:1::",
        "2001::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "100::1",
        "2001:db8::1",
    ],
)
def test_a_name_that_leads_inside_is_refused(tmp_path: Path, names: Names, address: str) -> None:
    names.addresses["images.example"] = [address]
    assert refused(fetcher(tmp_path), "http://images.example/a.png") == "fetch_refused_address"
    literal = f"[{address}]" if ":" in address else address
    assert refused(fetcher(tmp_path), f"http://{literal}/a.png") == "fetch_refused_address"


def test_a_public_address_is_fetched(tmp_path: Path, names: Names, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/a.png").respond_with_data(FILE)
    names.addresses["images.example"] = [PUBLIC]
    names.served_at[PUBLIC] = httpserver.port
    assert fetcher(tmp_path).fetch("http://images.example/a.png") == FILE
    assert httpserver.log[0][0].headers["Host"] == "images.example"


def test_a_name_that_changes_its_address_is_fetched_where_it_was_checked(
    tmp_path: Path, names: Names, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/a.png").respond_with_data(FILE)
    with HTTPServer() as inside:
        inside.expect_request("/a.png").respond_with_data(b"secret")
        names.addresses["rebind.example"] = [PUBLIC, "127.0.0.1"]
        names.served_at[PUBLIC] = httpserver.port
        assert fetcher(tmp_path).fetch(f"http://rebind.example:{inside.port}/a.png") == FILE
        assert inside.log == []
    assert names.asked.count("rebind.example") == 1


def test_each_redirect_looks_its_name_up_again(tmp_path: Path, names: Names, httpserver: HTTPServer) -> None:
    names.addresses["rebind.example"] = [PUBLIC, "127.0.0.1"]
    names.served_at[PUBLIC] = httpserver.port
    again = {"Location": f"http://rebind.example:{httpserver.port}/inside"}
    httpserver.expect_request("/a.png").respond_with_data(b"", status=302, headers=again)
    assert refused(fetcher(tmp_path), "http://rebind.example/a.png") == "fetch_refused_address"
    assert [request.path for request, _ in httpserver.log] == ["/a.png"]


@pytest.mark.parametrize("listed", ["127.0.0.1", "127.0.0.1:{port}", "other.example, 127.0.0.1:{port}"])
def test_a_listed_host_may_be_private(tmp_path: Path, httpserver: HTTPServer, listed: str) -> None:
    httpserver.expect_request("/a.png").respond_with_data(FILE)
    downloader = fetcher(tmp_path, image_hosts=listed.format(port=httpserver.port))
    assert downloader.fetch(httpserver.url_for("/a.png").replace("localhost", "127.0.0.1")) == FILE


def test_a_listed_name_is_not_case_sensitive(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/a.png").respond_with_data(FILE)
    downloader = fetcher(tmp_path, image_hosts=f"LocalHost:{httpserver.port}")
    assert downloader.fetch(f"http://LOCALHOST:{httpserver.port}/a.png") == FILE


def test_a_listed_port_lists_no_other_port(tmp_path: Path, httpserver: HTTPServer) -> None:
    downloader = fetcher(tmp_path, image_hosts="127.0.0.1:1")
    assert refused(downloader, f"http://127.0.0.1:{httpserver.port}/a.png") == "fetch_refused_address"
    assert httpserver.log == []


def test_a_listed_host_does_not_list_what_it_is_part_of(tmp_path: Path, names: Names) -> None:
    downloader = fetcher(tmp_path, image_hosts="images.example")
    for host in ("evil-images.example", "images.example.evil", "a.images.example"):
        names.addresses[host] = ["127.0.0.1"]
        assert refused(downloader, f"http://{host}/a.png") == "fetch_refused_address"


def test_only_listed_hosts_when_so_set(tmp_path: Path, names: Names, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/a.png").respond_with_data(FILE)
    names.addresses |= {"listed.example": [PUBLIC], "other.example": [PUBLIC]}
    names.served_at = {PUBLIC: httpserver.port, "listed.example": httpserver.port}
    downloader = fetcher(tmp_path, image_hosts="listed.example", image_hosts_only=True)
    assert downloader.fetch("http://listed.example/a.png") == FILE
    assert refused(downloader, "http://other.example/a.png") == "fetch_refused_address"
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example\\@127.0.0.1:{port}/a.png",
        "http://images.example#@127.0.0.1:{port}/a.png",
        "http://images.example?@127.0.0.1:{port}/a.png",
        "http://127.0.0.1:{port}\\@images.example/a.png",
        "http://images.example:80@127.0.0.1:{port}/a.png",
        "http://images.example%2f@127.0.0.1:{port}/a.png",
        "http://images.example\t@127.0.0.1:{port}/a.png",
        "http:127.0.0.1:{port}/a.png",
        "http:///127.0.0.1:{port}/a.png",
    ],
)
def test_two_readings_of_one_address_open_no_way_in(
    tmp_path: Path, names: Names, httpserver: HTTPServer, url: str
) -> None:
    names.addresses["images.example"] = [PUBLIC]
    names.served_at[PUBLIC] = httpserver.port  # Listens, and knows no path, so that it answers 500.
    refused(fetcher(tmp_path), url.format(port=httpserver.port))
    assert "127.0.0.1" not in [request.host.split(":")[0] for request, _ in httpserver.log]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://images.example/a.png",
        "gopher://images.example/",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http://",
        "http://:80/a.png",
        "http://[::1/a.png",
        "http://images.example:99999/a.png",
        "http://images.example:0/a.png",
        "http://images.example:port/a.png",
        "http://user@images.example/a.png",
        "http://user:pw@images.example/a.png",
        "http://.images.example/a.png",
        "http://" + "a" * 70 + ".example/a.png",
        "http://*/a.png",
    ],
)
def test_what_is_no_plain_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Refusal) as caught:
        fetcher(tmp_path).fetch(url)
    assert caught.value.code == "fetch_refused_url"
    assert "pw" not in caught.value.detail


@given(st.text(max_size=60) | st.from_regex(r"https?://[^ ]{0,40}", fullmatch=True))
def test_any_text_is_an_address_or_a_refusal(text: str) -> None:
    refusal = attempt(lambda: check_url(text))
    if refusal:
        assert refusal.code == "fetch_refused_url"
    else:
        assert urlsplit(text).scheme in ("http", "https")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/a.png?sig=1#x", "https://h.example/a.png"),
        ("https://h.example/a.png#x?sig=1", "https://h.example/a.png"),
        ("https://user:pw@h.example:8443/a.png", "https://h.example:8443/a.png"),
        ("https://user:p@w@h.example/a", "https://h.example/a"),
        ("https://h.example/a@b.png", "https://h.example/a@b.png"),
        ("//user:pw@h.example/a", "//h.example/a"),
        ("http://[broken?sig=1", "http://[broken"),
        ("https://h.example/a\n?sig=1\nmore", "https://h.example/a\n"),
    ],
)
def test_what_is_shown_of_an_address(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.fixture
def tls() -> ssl.SSLContext:
    """Of a server whose certificate, for localhost, only those trust who are told to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_a_certificate_of_nobody_is_refused(tmp_path: Path, tls: ssl.SSLContext) -> None:
    with HTTPServer(ssl_context=tls) as server:
        server.expect_request("/a.png").respond_with_data(FILE)
        with pytest.raises(Refusal, match="TLS certificate") as caught:
            fetcher(tmp_path, image_hosts="localhost").fetch(f"https://localhost:{server.port}/a.png")
        assert caught.value.code == "fetch_unreachable"
        assert server.log == []


@pytest.fixture
def _trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(CERTIFICATE))


@pytest.mark.usefixtures("_trusting")
def test_a_certificate_is_checked_against_the_name_and_not_the_address(
    tmp_path: Path, names: Names, tls: ssl.SSLContext
) -> None:
    names.addresses |= {"localhost": [PUBLIC], "other.example": [PUBLIC]}
    with HTTPServer(host="127.0.0.1", ssl_context=tls) as server:
        server.expect_request("/a.png").respond_with_data(FILE)
        names.served_at[PUBLIC] = server.port
        assert fetcher(tmp_path).fetch("https://localhost/a.png") == FILE
        assert refused(fetcher(tmp_path), "https://other.example/a.png") == "fetch_unreachable"
        assert len(server.log) == 1


@pytest.mark.usefixtures("_trusting")
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"])
def test_a_trickle_through_tls_ends_at_the_deadline(
    tmp_path: Path, tls: ssl.SSLContext, start: bytes
) -> None:
    downloader = fetcher(tmp_path, image_hosts="127.0.0.1", fetch_deadline_s=0.6)
    with serving(lambda connection: trickle(connection, start, b"a"), tls) as url:
        assert refused(downloader, url) == "fetch_timeout"
