"""`POST /api/imports` and `GET /api/export`: labelled images in and out over the API."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from core.config import MIB, Settings
from core.feedback.intake import take_in
from core.store import Store
from core.store.keys import create_key
from core.store.tables import Batch, Sample, Upload
from tests.api.conftest import BASE_URL, LOCAL, serving
from tests.factories import CLASS_NAMES, make_settings, thermal_file
from tests.unit.feedback.imports.archives import picture, zipped
from tests.unit.registry.factories import promote, register

YOLO = {
    "classes.txt": "hot joint\nmoth",
    "a.jpg": picture(1),
    "a.txt": "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5",
    "b.jpg": picture(2),
}
LEFT_OUT = {"mapping": json.dumps({"moth": None})}


@pytest.fixture
def live(store: Store) -> Store:
    """The store, with something live in it."""
    promote(store, register(store, b"weights"), None)
    return store


def archive(files: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"archive": ("import.zip", zipped(files or YOLO).getvalue())}


def rows(store: Store, table: type[Any]) -> list[Any]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(table)))


def test_a_dry_run_says_what_is_in_it(client: TestClient, live: Store):
    answer = client.post("/api/imports?dry_run=true", files=archive())
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["format"], report["images"], report["boxes"], report["batch_id"]) == ("yolo", 1, 1, None)
    assert report["classes"] == [
        {"name": "hot joint", "boxes": 1, "live_name": "hot joint", "why": "same"},
        {"name": "moth", "boxes": 1, "live_name": None, "why": "unknown"},
    ]
    (problem,) = report["problems"]
    assert (problem["file"], problem["costs"]) == ("b.jpg", "image")
    assert rows(live, Upload) == rows(live, Batch) == []


def test_an_import_becomes_a_batch(client: TestClient, live: Store):
    answer = client.post(
        "/api/imports", files=archive(), data=LEFT_OUT | {"trusted": "true", "note": "summer"}
    )
    assert answer.status_code == 201, answer.text
    (batch,) = rows(live, Batch)
    assert (batch.id, batch.actor, batch.note, batch.is_trusted) == (
        answer.json()["batch_id"], "local", "summer", True,
    )  # fmt: skip
    assert batch.class_map == {"hot joint": "hot joint", "moth": None}
    assert len(rows(live, Sample)[0].posted) == 1


def test_single_files_and_annotations_beside_the_images(client: TestClient, live: Store):
    loose = [
        ("archive", (name, content if isinstance(content, bytes) else content.encode()))
        for name, content in YOLO.items()
    ]
    assert client.post("/api/imports?dry_run=true", files=loose).json()["images"] == 1
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}],
        "categories": [{"id": 1, "name": "Cold Joint"}],
    }
    images = {"a.jpg": picture(1)}
    both = {**archive(images), "annotations": ("instances.json", json.dumps(coco).encode())}
    report = client.post("/api/imports?dry_run=true", files=both).json()
    assert (report["format"], report["boxes"]) == ("coco", 1)


def test_a_class_that_stands_for_nothing_is_named(client: TestClient, live: Store):
    answer = client.post("/api/imports", files=archive())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["unknown_classes"] == ["moth"]
    assert answer.json()["class_names"] == list(CLASS_NAMES)
    assert rows(live, Batch) == []


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"mapping": "{"}, None),
        ({"mapping": "[]"}, "/mapping"),
        ({"mapping": '{"moth": 3}'}, "/mapping/moth"),
        ({"format": "pascal"}, "/format"),
        ({"trusted": "perhaps"}, "/trusted"),
        ({"note": "x" * 2_001}, "/note"),
        ({"maping": "{}"}, "/maping"),
    ],
)
def test_wrong_fields_are_told(client: TestClient, live: Store, data: dict[str, str], pointer: str | None):
    answer = client.post("/api/imports?dry_run=true", files=archive(), data=data)
    assert answer.status_code == 422
    if pointer:
        assert answer.json()["errors"][0]["pointer"] == pointer
    else:
        assert next(iter(data)) in answer.json()["detail"]


def test_a_dry_run_that_is_asked_for_in_the_wrong_place_takes_nothing(client: TestClient, live: Store):
    answer = client.post("/api/imports", files=archive(), data=LEFT_OUT | {"dry_run": "true"})
    assert answer.status_code == 422
    assert "/api/imports?dry_run=true" in answer.json()["detail"]
    assert rows(live, Batch) == []


def test_files_in_wrong_fields_are_told(client: TestClient, live: Store):
    content = zipped(YOLO).getvalue()
    for files in ({"file": content}, {"annotations": content}):
        assert "`archive`" in client.post("/api/imports", files=files).json()["detail"]
    assert "-F" in client.post("/api/imports", json={}).json()["detail"]


def test_too_many_files_are_told(client: TestClient, live: Store):
    files = [("archive", (f"{number}.txt", b"")) for number in range(201)]
    answer = client.post("/api/imports", files=files)
    assert answer.status_code == 422
    assert "Too many files" in answer.json()["detail"]


def test_before_anything_is_live_there_are_no_classes(client: TestClient, store: Store):
    for answer in (client.post("/api/imports", files=archive()), client.get("/api/export?format=yolo")):
        assert (answer.status_code, answer.json()["code"]) == (503, "baseline_missing")


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length told", "chunked"])
def test_what_is_too_large_is_413(tmp_path: Path, is_chunked: bool):
    settings = make_settings(tmp_path, import_max_bytes=MIB)
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    start = b'--x\r\nContent-Disposition: form-data; name="archive"; filename="a.zip"\r\n\r\n'
    chunks = [start, *[bytes(MIB // 2)] * 4]
    with TestClient(create_app(settings), base_url=BASE_URL, client=LOCAL) as client:
        content = iter(chunks) if is_chunked else b"".join(chunks)
        answer = client.post("/api/imports", content=content, headers=boundary)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert "TMS_IMPORT_MAX_BYTES" in answer.json()["detail"]


def test_an_import_may_be_larger_than_any_other_body_and_leaves_no_file_behind(
    app: FastAPI, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    large = zipped({**YOLO, **{f"{n}.bin": thermal_file(n, file_format="BMP") for n in range(3)}})
    with zipfile.ZipFile(large, "a") as packed:
        packed.writestr("padding.bin", bytes(48 * MIB))
    with (
        serving(app, settings) as (_, address),
        httpx2.Client(base_url=f"http://{address}", timeout=60) as client,
    ):
        store: Store = app.state.store
        promote(store, register(store, b"weights"), None)
        files = {"archive": ("import.zip", large.getvalue())}
        answer = client.post("/api/imports", files=files, data=LEFT_OUT)
        assert answer.status_code == 201, answer.text
        assert answer.json()["images"] == 1
    assert list(tmp_path.glob("tmp*")) == []


def test_a_feed_may_not_import_or_export(client: TestClient, remote: TestClient, live: Store):
    headers = {"Authorization": f"Bearer {create_key(live, 'feed-1', 'feed')}"}
    for answer in (
        remote.post("/api/imports", files=archive(), headers=headers),
        remote.get("/api/export?format=yolo", headers=headers),
    ):
        assert (answer.status_code, answer.json()["needed_scope"]) == (403, "operate")
    assert rows(live, Batch) == []


def taken_in(store: Store, batch_id: str) -> None:
    take_in(
        store,
        batch_id,
        class_names=CLASS_NAMES,
        judging={},
        champion_id=None,
        on_progress=lambda done, total: None,
    )


@pytest.mark.parametrize("format_name", ["yolo", "coco"])
def test_what_was_imported_comes_out_and_goes_in_again(client: TestClient, live: Store, format_name: str):
    report = client.post("/api/imports", files=archive(), data=LEFT_OUT).json()
    taken_in(live, report["batch_id"])
    answer = client.get("/api/export", params={"format": format_name, "batch": report["batch_id"]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{format_name}.zip"'
    assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
    again = client.post("/api/imports", files={"archive": ("x.zip", answer.content)}).json()
    assert (again["format"], again["images"], again["boxes"], again["problem_count"]) == (
        format_name,
        1,
        1,
        0,
    )


def test_an_export_of_a_selection(client: TestClient, live: Store):
    taken_in(live, client.post("/api/imports", files=archive(), data=LEFT_OUT).json()["batch_id"])
    (sample,) = rows(live, Sample)
    json_alone = {"format": "coco", "images": "false"}
    document = client.get("/api/export", params=json_alone).json()
    assert [row["sample_id"] for row in document["images"]] == [sample.id]
    fits = [{"class": "hot joint"}, {"status": ["pending", "rejected"]}, {"sample": sample.id}]
    assert [client.get("/api/export", params=json_alone | one).status_code for one in fits] == [200] * 3
    nothing = [
        {"class": "overload"},
        {"status": "approved"},
        {"batch": "batch-none"},
        {"sample": "sample-none"},
    ]
    assert [client.get("/api/export", params=json_alone | one).status_code for one in nothing] == [404] * 4
    wrong = [{"class": "moth"}, {"status": "quarantined"}, {"batch": "../x"}, {"format": "voc"}]
    assert [client.get("/api/export", params=json_alone | one).status_code for one in wrong] == [422] * 4
    assert client.get("/api/export", params={"format": "yolo", "images": "false"}).status_code == 422
