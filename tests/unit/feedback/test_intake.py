"""The way of a batch through intake, over real HTTP, on SQLite and PostgreSQL."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from core.config import CHECKOUT, Settings
from core.errors import DiskFull, NotFound
from core.feedback.approved import ApprovedSample, approved_samples
from core.feedback.intake import quarantined, record_batch, take_in
from core.feedback.reasons import REASONS
from core.schemas import FineTuneRequest
from core.store import Store
from core.store.tables import Batch, Correction, Sample, SampleVerdict
from tests.factories import (
    CLASS_NAMES,
    detection,
    encode,
    image,
    make_settings,
    request,
    thermal_file,
    thermal_pixels,
)
from tests.unit.feedback.servers import dead_address, serving

Serve = Callable[[bytes], str]


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def changes() -> dict[str, Any]:
    """Settings of the batch's host, loopback allowed."""
    return {"image_hosts": "localhost,127.0.0.1", "fetch_concurrency": 4}


@pytest.fixture
def store(tmp_path: Path, changes: dict[str, Any]) -> Iterator[Store]:
    with Store.open(make_settings(tmp_path, **changes)) as store:
        yield store


@pytest.fixture
def any_store(any_settings: Settings, changes: dict[str, Any]) -> Iterator[Store]:
    with Store.open(any_settings.model_copy(update=changes)) as store:
        yield store


@pytest.fixture
def serve(httpserver: HTTPServer) -> Serve:
    """Put a file on the server and give its address."""
    numbers = iter(range(1_000))

    def serve(content: bytes) -> str:
        path = f"/{next(numbers)}.bin"
        httpserver.expect_request(path).respond_with_data(content)
        return httpserver.url_for(path)

    return serve


def record(store: Store, asked: FineTuneRequest, *, is_trusted: bool = True) -> str:
    with store.database.write() as session:
        return record_batch(session, asked, source="api", actor="key:feed", is_trusted=is_trusted).id


def take(store: Store, batch_id: str, **changes: Any) -> None:
    options: dict[str, Any] = {
        "class_names": CLASS_NAMES,
        "judging": {},
        "champion_id": "ckpt-live",
        "on_progress": silent,
    }
    take_in(store, batch_id, **(options | changes))


def taken(store: Store, *images: dict[str, Any], **changes: Any) -> str:
    batch_id = record(store, request(*images))
    take(store, batch_id, **changes)
    return batch_id


def rows(store: Store, batch_id: str) -> list[Sample]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(Sample).filter_by(batch_id=batch_id).order_by(Sample.position)))


def test_a_batch_becomes_samples(any_store: Store, serve: Serve) -> None:
    content = thermal_file(1)
    posted = image(
        serve(content) + "?sig=1",
        detection((10, 10, 30, 30)),
        detection((-1, 5, 20, 49), "cold joint"),
        sample_id="S-1",
        group="T7",
    )
    false_alarm = {"image_url": serve(thermal_file(2)), "detections": []}
    batch_id = taken(any_store, posted, false_alarm)

    first, second = approved_samples(any_store, batch_id)
    sample, _ = rows(any_store, batch_id)
    assert first == ApprovedSample(
        id=sample.id,
        batch_id=batch_id,
        position=0,
        blob_sha256=sample.blob_sha256 or "",
        width_px=64,
        height_px=48,
        version=1,
        detections=(
            {"xyxy": [10, 10, 30, 30], "class_id": 0},
            {"xyxy": [0, 5, 20, 48], "class_id": 1},
        ),
        group="T7",
        cluster=sample.cluster,
        is_holdout=False,
    )
    assert second.detections == ()
    assert any_store.blobs.get(first.blob_sha256) == content
    assert (sample.client_sample_id, sample.image_url[-6:]) == ("S-1", "?sig=1")
    assert quarantined(any_store, batch_id) == []


def test_who_posted_and_who_approved_are_kept(any_store: Store, serve: Serve) -> None:
    batch_id = record(any_store, request(image(serve(thermal_file())), note="after the storm"))
    take(any_store, batch_id)
    with any_store.database.read() as session:
        batch = session.get_one(Batch, batch_id)
        correction = session.scalars(sa.select(Correction)).one()
        verdict = session.scalars(sa.select(SampleVerdict)).one()
    assert (batch.source, batch.actor, batch.note) == ("api", "key:feed", "after the storm")
    assert (correction.version, correction.author) == (1, "key:feed")
    assert (verdict.decision, verdict.actor) == ("approved", "system")


def test_without_approval_samples_stay_pending(store: Store, serve: Serve) -> None:
    batch_id = record(store, request(image(serve(thermal_file()))), is_trusted=False)
    take(store, batch_id)
    assert [sample.status for sample in rows(store, batch_id)] == ["pending"]
    assert approved_samples(store, batch_id) == []
    take(store, batch_id)  # Taken in already: another call does not approve what awaits review.
    assert [sample.status for sample in rows(store, batch_id)] == ["pending"]


def test_the_newest_correction_counts(store: Store, serve: Serve) -> None:
    batch_id = taken(store, image(serve(thermal_file(1))), image(serve(thermal_file(2))))
    sample = approved_samples(store, batch_id)[0]
    moved = [{"xyxy": [1.0, 1.0, 9.0, 9.0], "class_id": 2}]
    with store.database.write() as session:
        for version in (2, 3):
            newer = moved if version == 3 else []
            session.add(
                Correction(
                    id=f"c{version}", sample_id=sample.id, version=version, detections=newer, author="ada"
                )
            )
    after = approved_samples(store, batch_id)
    assert [one.detections for one in after] == [tuple(moved), ({"xyxy": [10, 10, 30, 30], "class_id": 0},)]


def bad_images(serve: Serve, httpserver: HTTPServer) -> dict[str, list[dict[str, Any]]]:
    """Every bad input, by the code that is expected for it."""
    httpserver.expect_request("/gone").respond_with_data(b"", status=404)
    httpserver.expect_request("/denied").respond_with_data(b"", status=403)
    httpserver.expect_request("/round").respond_with_data(b"", status=302, headers={"Location": "/round"})
    inside = {"Location": "http://192.168.0.1/a.png"}
    httpserver.expect_request("/inside").respond_with_data(b"", status=302, headers=inside)
    at = httpserver.url_for
    return {
        "fetch_not_found": [image(at("/gone?sig=SECRET"))],
        "fetch_http_error": [image(at("/denied"))],
        "fetch_too_many_redirects": [image(at("/round"))],
        "fetch_refused_address": [image("http://169.254.169.254/latest?sig=SECRET"), image(at("/inside"))],
        "fetch_refused_url": [image("file:///etc/passwd"), image("http://me:SECRET@h.example/a.png")],
        "fetch_unreachable": [image(f"{dead_address()}/a.png?sig=SECRET")],
        "fetch_unknown_upload": [image(f"blob:{'0' * 64}")],
        "fetch_too_large": [image(serve(bytes(300_000)))],
        "fetch_not_an_image": [image(serve(b"<!doctype html><html>Sign in</html>"))],
        "decode_empty": [image(serve(b""))],
        "decode_unsupported": [image(serve(b"<svg/>")), image(serve(b"GIF89a"))],
        "decode_truncated": [image(serve(thermal_file(51, file_format="JPEG")[:-200]))],
        "decode_failed": [image(serve(b"\xff\xd8\xff\xe0" + bytes(500)))],
        "image_too_large": [image(serve(thermal_file(52, 200, 100)))],
        "image_too_small": [image(serve(thermal_file(53, 9, 9)), detection((1, 1, 5, 5)))],
        "box_inverted": [image(serve(thermal_file(56)), detection((30, 10, 10, 30)))],
        "box_outside": [image(serve(thermal_file(54)), detection((10, 10, 300, 30)))],
        "box_too_small": [image(serve(thermal_file(55)), detection((10, 10, 10.5, 30)))],
        "class_unknown": [
            image(serve(thermal_file(57)), detection(class_id=9)),
            image(serve(thermal_file(58)), detection(class_id="x")),
        ],
        "leak_validation": [image(serve(JUDGED))],
        "duplicate_exact": [image(serve(FIRST))],
        "conflict": [image(serve(FIRST), detection((11, 11, 31, 31)))],
    }


FIRST, LAST, JUDGED = thermal_file(60), thermal_file(61), thermal_file(62)


def test_each_bad_image_is_put_aside_and_spoils_nothing(
    tmp_path: Path, changes: dict[str, Any], serve: Serve, httpserver: HTTPServer
) -> None:
    limits = {"image_max_bytes": 200_000, "image_max_pixels": 10_000, "fetch_deadline_s": 5.0}
    by_code = bad_images(serve, httpserver)
    with serving(lambda connection: connection.recv(1)) as silence:
        by_code["fetch_timeout"] = [image(f"{silence}/a.png?sig=SECRET")]
        expected = [code for code, images in by_code.items() for _ in images]
        posted = [one for images in by_code.values() for one in images]
        with Store.open(make_settings(tmp_path, **(changes | limits))) as store:
            (tmp_path / "judged.png").write_bytes(JUDGED)
            judging = {hashlib.sha256(JUDGED).hexdigest(): tmp_path / "judged.png"}
            batch_id = taken(store, image(serve(FIRST)), *posted, image(serve(LAST)), judging=judging)
            aside, kept = quarantined(store, batch_id), approved_samples(store, batch_id)

    assert [(one.index, one.code) for one in aside] == list(enumerate(expected, start=1))
    kept_out = {code for code, reason in REASONS.items() if reason.policy == "quarantine"}
    # Only a repair or a milder policy leaves an image without boxes: see test_quarantine.
    assert set(expected) == kept_out - {"box_none_left"}, (
        "each code that keeps an image out has its bad image"
    )
    assert [one.position for one in kept] == [0, len(posted) + 1]
    assert all(one.detail and one.repair == REASONS[one.code].repair for one in aside)
    assert "SECRET" not in str([one.model_dump() for one in aside])


@pytest.mark.parametrize(
    "faulty", [detection((10, 10, 300, 30)), detection((30, 10, 10, 30)), detection(class_id=9)]
)
def test_an_image_with_a_bad_box_can_still_be_seen(
    store: Store, serve: Serve, faulty: dict[str, Any]
) -> None:
    """Its address may have expired by the time that somebody repairs it."""
    content = thermal_file()
    batch_id = taken(store, image(serve(content), faulty))
    (sample,) = rows(store, batch_id)
    assert store.blobs.get(sample.blob_sha256 or "") == content
    assert (sample.width_px, sample.height_px) == (64, 48)


def test_a_copy_of_a_put_aside_image_is_used(store: Store, serve: Serve) -> None:
    url = serve(thermal_file())
    batch_id = taken(store, image(url, detection((10, 10, 300, 30))), image(url), image(url))
    assert [sample.position for sample in approved_samples(store, batch_id)] == [1]
    assert [one.code for one in quarantined(store, batch_id)] == ["box_outside", "duplicate_exact"]


def test_the_order_of_boxes_makes_no_conflict(store: Store, serve: Serve) -> None:
    url, one, other = serve(thermal_file()), detection((1, 1, 9, 9)), detection((5, 5, 19, 19), 1)
    batch_id = taken(store, image(url, one, other), image(url, other, one))
    assert [aside.code for aside in quarantined(store, batch_id)] == ["duplicate_exact"]


def test_the_same_image_in_another_file_is_a_duplicate(store: Store, serve: Serve) -> None:
    picture = Image.fromarray(thermal_pixels(4))
    bmp, tiff = encode(picture, "BMP"), encode(picture, "TIFF")
    batch_id = taken(store, image(serve(bmp)), image(serve(tiff)))
    assert [aside.code for aside in quarantined(store, batch_id)] == ["duplicate_exact"]


def test_two_batches_may_hold_the_same_image(store: Store, serve: Serve) -> None:
    url = serve(thermal_file())
    assert [len(approved_samples(store, taken(store, image(url)))) for _ in range(2)] == [1, 1]


def test_an_unknown_batch(store: Store) -> None:
    with pytest.raises(NotFound, match="batch-none"):
        take(store, "batch-none")


def test_progress_counts_every_image(store: Store, serve: Serve) -> None:
    seen: list[tuple[int, int]] = []
    images = [image(serve(thermal_file(number))) for number in range(3)]
    taken(store, *images, image("file:///a"), on_progress=lambda done, total: seen.append((done, total)))
    assert (seen[0], seen[-1]) == ((0, 4), (4, 4))
    assert seen == sorted(set(seen))


def outcome(store: Store, batch_id: str) -> list[Any]:
    """Everything a batch came to, but ids and times."""
    with store.database.read() as session:
        counts = [
            session.scalar(
                sa.select(sa.func.count())
                .select_from(table)
                .join(Sample, Sample.id == table.sample_id)
                .where(Sample.batch_id == batch_id)
            )
            for table in (Correction, SampleVerdict)
        ]
    samples = [
        (one.position, one.blob_sha256, one.detections, one.is_holdout)
        for one in approved_samples(store, batch_id)
    ]
    return [counts, samples, [one.model_dump() for one in quarantined(store, batch_id)]]


def mixed(serve: Serve) -> list[dict[str, Any]]:
    """Good images of several groups, bad ones and repetitions."""
    good = [image(serve(thermal_file(number)), group=f"T{number % 3}") for number in range(6)]
    return [*good[:3], image("file:///a"), good[0], *good[3:], image(serve(b"")), good[5]]


@pytest.mark.parametrize("stop_after", [0, 1, 4, 9])
def test_intake_goes_on_where_it_was_stopped(any_store: Store, serve: Serve, stop_after: int) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= stop_after:
            raise Stopped

    asked = request(*mixed(serve))
    whole = record(any_store, asked)
    take(any_store, whole)
    halved = record(any_store, asked)
    with pytest.raises(Stopped):
        take(any_store, halved, on_progress=stop)
    seen: list[tuple[int, int]] = []
    take(any_store, halved, on_progress=lambda done, total: seen.append((done, total)))

    assert seen[0][0] >= stop_after
    assert outcome(any_store, halved) == outcome(any_store, whole)
    take(any_store, halved)
    assert outcome(any_store, halved) == outcome(any_store, whole)


INTAKE = """
import sys
from pathlib import Path
from core.feedback.intake import take_in
from core.store import Store
from tests.factories import CLASS_NAMES, make_settings

home, batch_id = Path(sys.argv[1]), sys.argv[2]
with Store.open(make_settings(home, image_hosts="localhost", fetch_concurrency=1)) as store:
    take_in(store, batch_id, class_names=CLASS_NAMES, judging={}, champion_id=None, on_progress=print)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_intake_survives_a_kill(store: Store, httpserver: HTTPServer, tmp_path: Path) -> None:
    reached, release = threading.Event(), threading.Event()

    def stuck(_: Request) -> Response:
        if not reached.is_set():
            reached.set()
            release.wait(60)
        return Response(thermal_file(2))

    for number in (0, 1, 3):
        httpserver.expect_request(f"/{number}").respond_with_data(thermal_file(number))
    httpserver.expect_request("/2").respond_with_handler(stuck)
    batch_id = record(store, request(*(image(httpserver.url_for(f"/{number}")) for number in range(4))))

    with subprocess.Popen([sys.executable, "-c", INTAKE, str(tmp_path), batch_id], cwd=CHECKOUT) as process:
        assert reached.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    release.set()
    assert len(approved_samples(store, batch_id)) < 4
    take(store, batch_id)
    assert [one.position for one in approved_samples(store, batch_id)] == [0, 1, 2, 3]
    assert outcome(store, batch_id)[0] == [4, 4]


def test_two_processes_given_one_batch_double_nothing(any_store: Store, serve: Serve) -> None:
    asked = request(*mixed(serve))
    alone, shared = record(any_store, asked), record(any_store, asked)
    take(any_store, alone)

    all_know_what_waits = threading.Barrier(3, timeout=60)

    def run(_: int) -> None:
        with Store.open(any_store.settings) as own:
            take(own, shared, on_progress=lambda done, _: all_know_what_waits.wait() if done == 0 else None)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(3)))
    assert outcome(any_store, shared) == outcome(any_store, alone)


def test_a_full_disk_stops_intake_and_the_next_one_goes_on(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = record(store, request(*(image(serve(thermal_file(number))) for number in range(3))))
    with monkeypatch.context() as patch:
        patch.setattr(type(store.blobs), "put", full_disk)
        with pytest.raises(DiskFull):
            take(store, batch_id)
    assert [sample.status for sample in rows(store, batch_id)] == ["pending"] * 3
    take(store, batch_id)
    assert len(approved_samples(store, batch_id)) == 3


def full_disk(_: object, content: bytes) -> str:
    raise DiskFull(f"no space for {len(content)} bytes")
