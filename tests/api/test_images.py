"""`POST /api/images`: uploads over the API."""

import json

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from api.app import create_app
from core.config import Settings
from core.feedback.approved import approved_samples
from core.feedback.intake import take_in
from core.store import Store
from core.store.keys import create_key
from core.store.run_views import get_run
from core.store.tables import Sample, Upload
from tests.api.conftest import BASE_URL, LOCAL, serving
from tests.factories import CLASS_NAMES, encode, image, make_settings, thermal_file, thermal_pixels

PNG = {"Content-Type": "image/png"}


def uploads(store: Store) -> list[Upload]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(Upload)))


@pytest.mark.parametrize(
    "content_type", ["image/png", "application/octet-stream", "application/x-www-form-urlencoded"]
)
def test_an_image_as_it_is(client: TestClient, store: Store, content_type: str):
    answer = client.post("/api/images", content=thermal_file(), headers={"Content-Type": content_type})
    (upload,) = uploads(store)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {
        "image_url": f"blob:{upload.sha256}", "sha256": upload.sha256, "width": 64, "height": 48,
    }  # fmt: skip
    assert (upload.actor, store.blobs.get(upload.sha256)) == ("local", thermal_file())


def test_an_image_in_a_form_and_again(client: TestClient, store: Store):
    answers = [client.post("/api/images", files={"file": ("a.png", thermal_file())}).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(uploads(store)) == 1


def test_the_size_is_that_of_the_upright_image(client: TestClient):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(Image.fromarray(thermal_pixels(1, 40, 30)), "JPEG", exif=exif)
    answer = client.post("/api/images", content=content).json()
    assert (answer["width"], answer["height"]) == (30, 40)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "decode_empty"),
        (b"<svg/>", "decode_unsupported"),
        (thermal_file(file_format="JPEG")[:-200], "decode_truncated"),
        (thermal_file(1, 9, 9), "image_too_small"),
    ],
)
def test_what_intake_would_put_aside_is_refused_at_once(
    client: TestClient, store: Store, content: bytes, reason: str
):
    answer = client.post("/api/images", content=content, headers=PNG)
    assert (answer.status_code, answer.json()["code"]) == (422, "unusable_image")
    assert answer.json()["reason"] == reason
    assert answer.json()["repair"] in answer.json()["detail"]
    assert uploads(store) == []


@pytest.mark.parametrize("count", [0, 2])
def test_a_form_has_one_image(client: TestClient, count: int):
    files = [("file", (f"{number}.png", thermal_file(number))) for number in range(count)]
    answer = client.post("/api/images", files=files or None, data={"note": "x"} if count else None,
                         headers={} if count else {"Content-Type": "multipart/form-data; boundary=x"},
                         content=None if count else b"--x--\r\n")  # fmt: skip
    assert answer.status_code == 422
    assert f"{count} files" in answer.json()["detail"]


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_damaged_form_is_told(client: TestClient, content_type: str):
    answer = client.post("/api/images", content=b"--y\r\nnonsense", headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "multipart" in answer.json()["detail"]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length told", "chunked"])
def test_what_is_too_large_is_413(tmp_path, is_chunked: bool):
    settings = make_settings(tmp_path, image_max_bytes=100_000)
    chunk = bytes(50_000)
    content = (chunk for _ in range(4)) if is_chunked else chunk * 4
    with TestClient(create_app(settings), base_url=BASE_URL, client=LOCAL) as client:
        answer = client.post("/api/images", content=content, headers=PNG)
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
        assert "TMS_IMAGE_MAX_BYTES" in answer.json()["detail"]
        # Beyond the image there is room for the form around it, and none for a larger image in it.
        in_form = client.post("/api/images", files={"file": thermal_file(1, 220, 160, "BMP")})
        assert in_form.status_code == 413
        assert "TMS_IMAGE_MAX_BYTES" in in_form.json()["detail"]


def test_a_larger_image_than_any_other_body_may_be_taken(tmp_path):
    settings = make_settings(tmp_path, image_max_bytes=40 * 1024 * 1024)
    content = thermal_file(1, file_format="BMP") + bytes(34 * 1024 * 1024)
    with TestClient(create_app(settings), base_url=BASE_URL, client=LOCAL) as client:
        assert client.post("/api/images", content=content).status_code == 201


def test_a_key_is_needed(client: TestClient, remote: TestClient, store: Store):
    key = create_key(store, "feed-1", "feed")
    assert remote.post("/api/images", content=thermal_file(), headers=PNG).status_code == 401
    assert uploads(store) == []
    headers = PNG | {"Authorization": f"Bearer {key}"}
    assert remote.post("/api/images", content=thermal_file(), headers=headers).status_code == 201
    assert uploads(store)[0].actor == "feed-1"


def test_over_real_http_an_upload_becomes_feedback(app: FastAPI, settings: Settings):
    import httpx2

    with serving(app, settings) as (_, address), httpx2.Client(base_url=f"http://{address}") as client:
        url = client.post("/api/images", content=thermal_file(5), headers=PNG).json()["image_url"]
        body = {"images": [image(url, sample_id="S-1")], "epochs": 1}
        posted = client.post("/api/finetune", json=body, headers={"Prefer": "respond-async"})
        assert posted.status_code == 202, posted.text
        store: Store = app.state.store
        run_id = json.loads(posted.text)["id"]
        assert get_run(store, run_id).status == "queued"
        with store.database.read() as session:
            (sample,) = session.scalars(sa.select(Sample))
        take_in(
            store,
            sample.batch_id,
            class_names=CLASS_NAMES,
            judging={},
            champion_id=None,
            on_progress=lambda done, total: None,
        )
        assert [f"blob:{one.blob_sha256}" for one in approved_samples(store, sample.batch_id)] == [url]
