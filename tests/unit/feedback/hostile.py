"""A corpus of addresses and files that mean harm, built here; each is a name and what it is.

Nothing of it may cross the firewall: each ends in quarantine with a reason code, or, if a sound image can be
made of it, as that image and nothing else.
"""

import gzip
import io
import socket
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial

from PIL import Image

from tests.factories import encode, thermal_file, thermal_pixels
from tests.unit.feedback.servers import Answer, trickle

SECRET = b"what only this machine may read"
LOOPBACK = (
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost.", "LOCALHOST", "0.0.0.0", "0",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.2", "127.255.255.254",
)  # fmt: skip
INSIDE = (
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1", "[::127.0.0.1]",
    "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]", "[2001::1]", "[fe80::1]", "[fec0::1]",
    "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[100::1]", "[2001:db8::1]",
)  # fmt: skip
NO_ADDRESS = (
    "a.png", "/etc/passwd", "../../etc/passwd", "file:///etc/passwd", "FILE:///etc/passwd", "ftp://h.example/a",
    "gopher://h.example/", "data:image/png;base64,AAAA", "javascript:alert(1)", "http://", "http://:80/a.png",
    "http://[::1/a.png", "http://h.example:99999/a.png", "http://h.example:0/a.png", "http://u:pw@h.example/a.png",
    "http://.h.example/a.png", "http://*/a.png", "jar:http://h.example!/a.png", "blob:../../etc/passwd",
    "\u202ehttp://h.example/a.png",
)  # fmt: skip
OK = b"HTTP/1.1 200 OK\r\n"


def answers(inside: str) -> dict[str, Answer]:
    """Servers that an operator trusts and that mean harm.

    Args:
        inside: Address of a server that must never be asked.
    """
    said = {
        "redirect inside": _moved(f"{inside}/secret"),
        "redirect to link-local": _moved("http://169.254.169.254/latest/meta-data/"),
        "redirect to a file": _moved("file:///etc/passwd"),
        "redirect without a scheme": _moved("//10.0.0.1/a"),
        "redirect with a password": _moved(f"http://u:pw@{inside.removeprefix('http://')}/secret"),
        "redirect to itself": _moved("/a.png"),
        "longer than announced": OK + b"Content-Length: 10\r\n\r\n" + thermal_file(),
        "shorter than announced": OK + b"Content-Length: 99999\r\n\r\n" + thermal_file(),
        "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\naa",
        "announced above the cap": OK + b"Content-Length: 9999999999\r\n\r\n",
        "gzip bomb": OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(50_000_000)),
        "bad gzip": OK + b"Content-Encoding: gzip\r\n\r\nnot gzip",
        "bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "endless header": OK + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        "another protocol": b"220 smtp.example ESMTP\r\n",
        "noise": b"\xff" * 100,
        "nothing": b"",
        "no content": OK + b"Content-Length: 0\r\n\r\n",
        "sign-in page": OK + b"Content-Type: image/png\r\n\r\n<!doctype html><html>Sign in</html>",
        "a secret": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    }
    trickles = {
        "slow status": (b"", b"H"),
        "slow headers": (OK, b"X-More: 1\r\n"),
        "slow body": (OK + b"Content-Length: 100000\r\n\r\n", b"a"),
        "slow chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    }
    return {
        **{name: partial(_say, content=content) for name, content in said.items()},
        **{name: partial(trickle, start=start, drop=drop) for name, (start, drop) in trickles.items()},
        "endless body": _say_without_end,
    }


def _say(connection: socket.socket, content: bytes) -> None:
    connection.sendall(content)


def _say_without_end(connection: socket.socket) -> None:
    connection.sendall(OK + b"Connection: close\r\n\r\n")
    while True:
        connection.sendall(bytes(1_000_000))


def _moved(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def files() -> dict[str, bytes]:
    """Files that are no sound image, or more than that."""
    return dict([*_cut(), *_of_other_kinds(), *_bombs(), *_polyglots(), *_damaged()])


def _cut() -> Iterator[tuple[str, bytes]]:
    for file_format in ("JPEG", "PNG", "TIFF", "BMP", "WEBP"):
        whole = thermal_file(1, 200, 150, file_format)
        for tenths in range(1, 10):
            yield f"{file_format} cut at {tenths}0 %", whole[: len(whole) * tenths // 10]


def _of_other_kinds() -> Iterator[tuple[str, bytes]]:
    picture = Image.fromarray(thermal_pixels(2))
    for file_format in ("GIF", "PDF", "PPM", "ICO", "JPEG2000", "AVIF"):
        yield file_format, encode(picture.convert("P") if file_format == "GIF" else picture, file_format)
    yield "nothing", b""
    yield "zeros", bytes(1_000)
    yield "HTML", b"<!DOCTYPE html><html><script>alert(1)</script></html>"
    yield "SVG", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    yield (
        "SVG behind XML with an entity",
        b"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY x 'y'>]><svg>&x;</svg>",
    )
    yield "JSON", b'{"error": "no such key"}'
    yield "pickle", b"cos\nsystem\n(S'touch /tmp/never'\ntR."
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    yield "zip", _zip()
    yield "ELF", b"\x7fELF\x02\x01\x01" + bytes(500)
    yield "MP4", b"\0\0\0\x18ftypmp42" + bytes(500)


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "PNG of 20,000 x 20,000", encode(Image.new("1", (20_000, 20_000)))
    yield "30,000 px wide", encode(Image.new("L", (30_000, 20)))
    yield "1 x 1", encode(Image.new("RGB", (1, 1)))
    yield "1 px high", encode(Image.new("RGB", (5_000, 1)))
    lying = bytearray(thermal_file(3))
    lying[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    yield "PNG that lies about its size", bytes(lying)
    yield "PNG whose text unpacks to much", _with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))
    yield (
        "PNG whose profile unpacks to much",
        _with_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(80_000_000))),
    )
    yield "TIFF that leads to itself", b"II*\0\x08\0\0\0\0\0\x08\0\0\0" + bytes(20)


def _polyglots() -> Iterator[tuple[str, bytes]]:
    tail = b"<script>alert('" + SECRET + b"')</script>"
    for file_format in ("JPEG", "PNG", "BMP", "WEBP", "TIFF"):
        yield f"{file_format} with a page behind it", thermal_file(4, file_format=file_format) + tail
    yield "JPEG that is a zip too", thermal_file(5, file_format="JPEG") + _zip()
    yield "GIF that is a script too", b"GIF89a/*" + tail + b"*/=1;"


def _damaged() -> Iterator[tuple[str, bytes]]:
    yield "JPEG header alone", b"\xff\xd8\xff\xe0" + bytes(1_000)
    yield "PNG header alone", b"\x89PNG\r\n\x1a\n" + bytes(1_000)
    yield "RIFF of nothing", b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(200)
    yield "image of no finite value", encode(Image.new("F", (40, 30), float("nan")), "TIFF")


def sound() -> dict[str, bytes]:
    """Unusual files that are sound images: they are taken in."""
    picture = Image.fromarray(thermal_pixels(6))
    return {
        "CMYK JPEG": encode(picture.convert("CMYK"), "JPEG"),
        "16 bit": encode(Image.fromarray(thermal_pixels(7)[:, :, 0].astype("uint16") * 150), "PNG"),
        "palette": encode(Image.fromarray(thermal_pixels(8)).quantize(64), "PNG"),
        "grey and alpha": encode(Image.fromarray(thermal_pixels(9)).convert("LA"), "PNG"),
    }


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../evil.txt", SECRET)
    return file.getvalue()


def _with_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG with one chunk more, behind its header."""
    whole, header_bytes = thermal_file(10), 33
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return whole[:header_bytes] + chunk + whole[header_bytes:]
