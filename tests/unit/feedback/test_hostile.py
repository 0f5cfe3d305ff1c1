"""The whole firewall against a corpus that means harm: nothing crosses it, and each leaves a reason code."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from pytest_httpserver import HTTPServer

from core.feedback import intake
from core.feedback.approved import approved_samples
from core.feedback.reasons import REASONS
from core.schemas import FineTuneRequest
from core.store import Store
from core.store.tables import Sample
from tests.factories import CLASS_NAMES, detection, image, make_settings, request
from tests.unit.feedback import hostile
from tests.unit.feedback.servers import serving


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    limits: dict[str, Any] = {"image_max_pixels": 2_000_000, "image_max_bytes": 5_000_000}
    with Store.open(make_settings(tmp_path / "home", **limits)) as store:
        yield store


def taken_in(
    store: Store, urls: dict[str, str], *, listed: str = "", deadline_s: float = 60
) -> dict[str, Sample]:
    """The corpus as one batch, taken in; its samples by name."""
    batch_id = _take_in(
        store,
        request(*(image(url, sample_id=name) for name, url in urls.items())),
        image_hosts=listed,
        fetch_deadline_s=deadline_s,
    )
    with store.database.read() as session:
        samples = list(session.scalars(sa.select(Sample).filter_by(batch_id=batch_id)))
    return {sample.client_sample_id or "": sample for sample in samples}


def _take_in(store: Store, asked: FineTuneRequest, **changes: Any) -> str:
    store = replace(store, settings=store.settings.model_copy(update=changes))
    with store.database.write() as session:
        batch_id = intake.record_batch(session, asked, source="api", actor="feed").id
    intake.take_in(
        store,
        batch_id,
        class_names=CLASS_NAMES,
        judging={},
        champion_id=None,
        on_progress=lambda *_: None,
    )
    return batch_id


def assert_each_left_a_reason(samples: dict[str, Sample]) -> None:
    told = {name: (sample.status, sample.reason_code) for name, sample in samples.items()}
    assert {name: one for name, one in told.items() if one[0] != "quarantined" or one[1] not in REASONS} == {}
    assert all(sample.reason_detail and sample.reason_repair for sample in samples.values())


def test_no_address_of_the_corpus_leads_inside(store: Store, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/secret").respond_with_data(hostile.SECRET)
    spelled = (f"http://{host}:{httpserver.port}/secret" for host in hostile.LOOPBACK)
    inside = (f"http://{host}/secret" for host in hostile.INSIDE)
    urls = {url[:200]: url for url in (*spelled, *inside, *hostile.NO_ADDRESS)}
    assert len(urls) >= 55
    samples = taken_in(store, urls)
    assert_each_left_a_reason(samples)
    codes = {sample.reason_code for sample in samples.values()}
    # Where the system cannot resolve such a spelling, nothing was reached either.
    assert codes <= {
        "fetch_refused_address", "fetch_refused_url", "fetch_unreachable", "fetch_unknown_upload",
    }  # fmt: skip
    assert httpserver.log == []


def test_no_server_of_the_corpus_gets_its_way(store: Store, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/secret").respond_with_data(hostile.SECRET)
    answers = hostile.answers(f"http://127.0.0.1:{httpserver.port}")
    with ExitStack() as stack:
        urls = {name: stack.enter_context(serving(answer)) + "/a.png" for name, answer in answers.items()}
        listed = ",".join(url.removeprefix("http://").removesuffix("/a.png") for url in urls.values())
        samples = taken_in(store, urls, listed=listed, deadline_s=1)
    assert_each_left_a_reason(samples)
    assert httpserver.log == []


def test_no_file_of_the_corpus_crosses(store: Store, httpserver: HTTPServer, tmp_path: Path) -> None:
    corpus = hostile.files()
    assert len(corpus) >= 80
    samples = taken_in(store, _served(httpserver, corpus), listed=f"localhost:{httpserver.port}")
    refused = {name: sample for name, sample in samples.items() if sample.status == "quarantined"}
    assert_each_left_a_reason(refused)
    for name in samples.keys() - refused.keys():
        # A sound image with more behind it, or in it, is stored as the image alone.
        stored = store.blobs.get(samples[name].blob_sha256 or "")
        assert stored != corpus[name], name
        assert hostile.SECRET not in stored, name
        assert len(stored) < 100_000, name
    assert not list(tmp_path.rglob("*evil*"))


def test_sound_files_of_unusual_kinds_are_taken_in(store: Store, httpserver: HTTPServer) -> None:
    corpus = hostile.sound()
    samples = taken_in(store, _served(httpserver, corpus), listed=f"localhost:{httpserver.port}")
    assert {name: sample.reason_code for name, sample in samples.items()} == dict.fromkeys(corpus)


def _served(server: HTTPServer, corpus: dict[str, bytes]) -> dict[str, str]:
    for number, content in enumerate(corpus.values()):
        server.expect_request(f"/{number}").respond_with_data(content)
    return {name: server.url_for(f"/{number}") for number, name in enumerate(corpus)}


@pytest.mark.parametrize(
    "name", ["../../evil", "C:\\evil.png", "a/b", "\u202egnp.exe", "名前 ☃", "con", "x" * 200, "'; --"]
)
def test_a_name_is_kept_as_text_and_leads_nowhere(
    store: Store, httpserver: HTTPServer, tmp_path: Path, name: str
) -> None:
    urls = _served(httpserver, {name: hostile.sound()["palette"]})
    samples = taken_in(store, urls, listed=f"localhost:{httpserver.port}")
    assert samples[name].status == "approved"
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e400])
def test_a_number_that_is_none_is_refused_at_the_door(value: float) -> None:
    with pytest.raises(ValidationError):
        request(image("http://h.example/a.png", detection((0, 0, value, 10))))


@pytest.mark.parametrize(
    ("xyxy", "code"),
    [
        ((30, 10, 10, 30), "box_inverted"),
        ((10, 30, 30, 10), "box_inverted"),
        ((10, 10, 10, 10), "box_inverted"),
        ((10, 10, 1e300, 30), "box_outside"),
        ((-1e300, 10, 30, 30), "box_outside"),
        ((500, 500, 600, 600), "box_outside"),
        ((10, 10, 10.2, 30), "box_too_small"),
    ],
)
def test_a_box_without_sense_costs_its_image_alone(
    store: Store, httpserver: HTTPServer, xyxy: tuple[float, ...], code: str
) -> None:
    urls = _served(httpserver, hostile.sound()).values()
    boxes = [detection(xyxy), *(detection() for _ in urls)]
    asked = request(*(image(url, box) for url, box in zip(urls, boxes, strict=False)))
    batch_id = _take_in(store, asked, image_hosts=f"localhost:{httpserver.port}")
    assert [aside.code for aside in intake.quarantined(store, batch_id)] == [code]
    assert len(approved_samples(store, batch_id)) == len(urls) - 1
