"""Archives that were packed by strangers, some of them with bad intentions."""

import io
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.config import MIB, Settings
from core.errors import InvalidRequest, PayloadTooLarge
from core.feedback.imports.archive import Archive
from core.feedback.imports.records import Unreadable
from tests.factories import make_settings
from tests.unit.feedback.imports.archives import SETTINGS, boxes_in, inspected, picture, zipped

LINK = 0o120777 << 16
PLAIN = 0o100644 << 16


def opened(*sources: tuple[str, io.BytesIO], settings: Settings = SETTINGS) -> Archive:
    return Archive(sources, settings)


def entry(name: str, attributes: int = PLAIN, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = attributes, method
    return info


def packed(*entries: tuple[zipfile.ZipInfo, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for info, content in entries:
            archive.writestr(info, content)
    return file


def refusals(archive: Archive) -> dict[str, str]:
    return {problem.file: problem.detail for problem in archive.problems}


@pytest.mark.parametrize(
    "name",
    ["../../etc/a.jpg", "/etc/a.jpg", "images/../../a.jpg", "C:\\Windows\\a.jpg", "..\\a.jpg", "c:a.jpg"],
)
def test_a_name_that_leads_out_of_the_archive_is_told_and_never_followed(name: str) -> None:
    archive = opened(("x.zip", packed((entry(name), picture()), (entry("b.jpg"), picture()))))
    assert archive.images == ("b.jpg",)
    assert refusals(archive) == {name: "Its name leads out of the archive."}
    assert archive.problems[0].costs == "image"


def test_odd_names_within_the_archive_are_read() -> None:
    names = ["./a.jpg", "deep/er/./b.jpg", "back\\slash\\c.jpg", "double//d.jpg", "..e..jpg", "f .JPG"]
    archive = opened(("x.zip", packed(*((entry(name), picture()) for name in names))))
    assert archive.images == (
        "..e..jpg", "a.jpg", "back/slash/c.jpg", "deep/er/b.jpg", "double/d.jpg", "f .JPG",
    )  # fmt: skip


def test_names_are_unicode_however_they_were_written() -> None:
    composed = "images/Ölkühler.jpg"
    decomposed = unicodedata.normalize("NFD", composed)
    assert opened(("x.zip", packed((entry(decomposed), picture())))).images == (composed,)
    # As packers write it that forget to say that it is UTF-8: the flag is taken away.
    silent = packed((entry(composed), picture())).getvalue()
    flagged = struct.pack("<H", 0x800)
    assert silent.count(flagged) >= 2
    unflagged = _with_flags(silent, 0)
    assert opened(("x.zip", io.BytesIO(unflagged))).images == (composed,)
    # And one that is code page 437 in truth.
    assert opened(
        ("x.zip", io.BytesIO(_with_flags(packed((entry("caf\x82.jpg"), b"")).getvalue(), 0)))
    ).images


def _with_flags(content: bytes, flags: int) -> bytes:
    """The zip, with other flags at each entry."""
    changed = bytearray(content)
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = changed.find(start)
        while position >= 0:
            struct.pack_into("<H", changed, position + offset, flags)
            position = changed.find(start, position + 4)
    return bytes(changed)


def test_an_image_whose_name_is_composed_in_another_way_is_found() -> None:
    files = {
        "classes.txt": "normal",
        "images/Ölkühler.jpg": picture(),
        unicodedata.normalize("NFD", "labels/Ölkühler.txt"): "0 0.5 0.5 0.5 0.5",
    }
    assert list(boxes_in(inspected(files))) == ["images/Ölkühler.jpg"]


def test_links_and_devices_are_told() -> None:
    archive = opened(
        ("x.zip", packed((entry("a.jpg", LINK), b"/etc/passwd"), (entry("b.jpg", 0o060644 << 16), b"")))
    )
    assert archive.images == ()
    assert set(refusals(archive).values()) == {"It is a link or a device, not a file."}


def test_what_is_encrypted_is_told() -> None:
    content = _with_flags(packed((entry("a.jpg"), picture())).getvalue(), 0x1)
    assert refusals(opened(("x.zip", io.BytesIO(content)))) == {"a.jpg": "It is encrypted."}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_unpacks_without_bound_is_told(method: int) -> None:
    archive = opened(("x.zip", packed((entry("a.jpg", method=method), bytes(MIB)))))
    assert refusals(archive) == {"a.jpg": "It is packed with an unusual method."}


def test_a_bomb_is_told_by_its_ratio() -> None:
    bomb = packed((entry("a.jpg", method=zipfile.ZIP_DEFLATED), bytes(20 * MIB)))
    assert refusals(opened(("x.zip", bomb))) == {"a.jpg": "Unpacked it is over 200 times as large."}


def test_what_unpacks_to_too_much_is_refused() -> None:
    settings = make_settings(Path(), import_max_bytes=MIB)
    text = packed(*((entry(f"{n}.txt", method=zipfile.ZIP_DEFLATED), b"0" * MIB) for n in range(5)))
    with pytest.raises(PayloadTooLarge, match="Unpacked"):
        opened(("x.zip", text), settings=settings)


def test_what_is_too_large_is_refused() -> None:
    settings = make_settings(Path(), import_max_bytes=MIB)
    half = bytes(600 * 1024)
    with pytest.raises(PayloadTooLarge, match="TMS_IMPORT_MAX_BYTES"):
        opened(("a.jpg", io.BytesIO(half)), ("b.jpg", io.BytesIO(half)), settings=settings)


def test_a_lie_about_the_size_gives_no_more_than_was_told() -> None:
    content = bytearray(packed((entry("a.jpg", method=zipfile.ZIP_DEFLATED), bytes(50_000))).getvalue())
    for start, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.find(start) + offset, 100)
    with (
        opened(("x.zip", io.BytesIO(bytes(content)))) as archive,
        pytest.raises(Unreadable, match="damaged in the archive"),
    ):
        archive.read_image("a.jpg")


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.feedback.imports.archive._MAX_FILES", 2)
    many = packed((entry("a"), b""), (entry("../b"), b""), (entry("c"), b""))
    with pytest.raises(InvalidRequest, match="over 2 files"):
        opened(("x.zip", many))


def test_a_list_of_contents_without_end_is_not_read() -> None:
    listed = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
        for _ in range(200_000)
    )
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(listed), 4, 0)
    with pytest.raises(InvalidRequest, match="too many files"):
        opened(("x.zip", io.BytesIO(b"PK\x03\x04" + listed + end)))


def test_too_many_images_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.feedback.imports.archive.MAX_IMAGES", 2)
    with pytest.raises(InvalidRequest, match="3 images; at most 2"):
        opened(("x.zip", zipped({f"{number}.jpg": b"" for number in range(3)})))


def test_an_archive_in_the_archive_is_told() -> None:
    inner = zipped({"a.jpg": picture()}).getvalue()
    assert refusals(opened(("x.zip", zipped({"inner.ZIP": inner})))) == {
        "inner.ZIP": "It is an archive within the archive."
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_path_are_told() -> None:
    archive = opened(("x.zip", packed((entry("a.jpg"), b"first"), (entry("./a.jpg"), b"second"))))
    assert archive.read_image("a.jpg") == b"first"
    assert [problem.file for problem in archive.problems] == ["a.jpg"]


def test_what_systems_leave_behind_is_passed_over() -> None:
    junk = {
        "__MACOSX/._a.jpg": b"x",
        "._b.jpg": b"x",
        ".DS_Store": b"x",
        "images/Thumbs.db": b"x",
        "empty/": b"",
    }
    archive = opened(("x.zip", zipped({**junk, "a.jpg": picture()})))
    assert (archive.images, archive.others, archive.problems) == (("a.jpg",), (), [])


def test_damage_in_one_file_costs_that_file() -> None:
    content = bytearray(packed((entry("a.jpg"), picture(1)), (entry("b.jpg"), picture(2))).getvalue())
    content[content.find(picture(1)) + 30] ^= 0xFF
    with opened(("x.zip", io.BytesIO(bytes(content)))) as archive:
        assert archive.read_image("b.jpg") == picture(2)
        with pytest.raises(Unreadable, match="damaged in the archive"):
            archive.upright_size("a.jpg")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.zip", b"no zip", "x.zip is no zip"),
        ("x.zip", b"PK\x03\x04 cut", "no whole zip"),
        ("x.zip", zipped({"a.jpg": picture()}).getvalue()[:-30], "no whole zip"),
        ("x.rar", b"Rar!\x1a\x07", "RAR"),
        ("x.7z", b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        ("x.tar.gz", b"\x1f\x8b\x08", "gzip"),
    ],
)
def test_what_is_no_zip_is_refused(name: str, content: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        opened((name, io.BytesIO(content)))


def test_files_may_come_one_by_one_and_with_a_zip() -> None:
    sources: Sequence[tuple[str, io.BytesIO]] = [
        ("pack.zip", zipped({"images/a.jpg": picture(1)})),
        ("b.jpg", io.BytesIO(picture(2))),
        ("..\\..\\c.jpg", io.BytesIO(picture(3))),
        ("..", io.BytesIO(b"?")),
        ("annotations.json", io.BytesIO(b"[1]")),
    ]
    with opened(*sources) as archive:
        assert archive.images == ("b.jpg", "c.jpg", "images/a.jpg")
        assert archive.others == ("annotations.json", "file")
        assert archive.read_image("b.jpg") == picture(2)
        assert archive.read_json("annotations.json") == [1]
    assert not sources[1][1].closed


def test_an_image_that_is_too_large_is_not_read() -> None:
    settings = make_settings(Path(), image_max_bytes=1_000)
    with (
        opened(("x.zip", zipped({"a.jpg": bytes(1_001)})), settings=settings) as archive,
        pytest.raises(Unreadable, match="TMS_IMAGE_MAX_BYTES"),
    ):
        archive.read_image("a.jpg")


def test_labels_that_are_too_large_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.feedback.imports.archive._MAX_TEXT_BYTES", 10)
    with (
        opened(("a.json", io.BytesIO(b"[1, 2, 3, 4]"))) as archive,
        pytest.raises(Unreadable, match="at most"),
    ):
        archive.read_json("a.json")


def test_no_deflated_entry_outgrows_its_name_in_the_list() -> None:
    # The list says 10 bytes; what follows would be a million.
    body = zlib.compressobj(wbits=-15)
    deflated = body.compress(bytes(MIB)) + body.flush()
    content = bytearray(packed((entry("a.jpg"), deflated)).getvalue())
    for start, method, size in ((b"PK\x03\x04", 8, 22), (b"PK\x01\x02", 10, 24)):
        position = content.find(start)
        struct.pack_into("<H", content, position + method, zipfile.ZIP_DEFLATED)
        struct.pack_into("<I", content, position + size, 10)
    with opened(("x.zip", io.BytesIO(bytes(content)))) as archive, pytest.raises(Unreadable):
        archive.read_image("a.jpg")
