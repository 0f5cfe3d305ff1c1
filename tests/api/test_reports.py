"""Reports and exports over HTTP."""

import pytest
from starlette.testclient import TestClient

from core.registry import onnx_exports
from core.registry.onnx_exports import OnnxExport
from core.registry.parity import compare
from core.store import Store
from core.store.blobs import file_sha256
from core.store.keys import create_key
from tests.api.runs import queued
from tests.unit.registry.factories import proven


def test_a_report_is_a_page_in_which_nothing_runs(client: TestClient, store: Store):
    run_id = queued(store)
    answer = client.get(f"/api/runs/{run_id}/report")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert run_id in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "sandbox" in policy
    assert client.get("/api/runs/run-none/report").json()["code"] == "not_found"


def _exported(store: Store, checkpoint) -> OnnxExport:
    """What an export leaves behind."""
    path = onnx_exports.path_of(store, checkpoint.id, 64)
    path.write_bytes(b"onnx" * 100)
    made = OnnxExport(
        checkpoint_id=checkpoint.id,
        sha256=file_sha256(path),
        size_bytes=400,
        image_size=64,
        created_at="2026-01-12T10:02:17+00:00",
        parity=compare([], []),
        agrees=True,
    )
    path.with_suffix(".json").write_text(made.model_dump_json())
    return made


def test_an_export_is_downloaded_whole_or_in_part(client: TestClient, store: Store):
    checkpoint = proven(store, b"1")
    address = f"/api/checkpoints/{checkpoint.id}/onnx"
    missing = client.get(address, params={"image_size": 64}).json()
    assert (missing["code"], "POST" in missing["detail"]) == ("not_found", True)
    made = _exported(store, checkpoint)
    whole = client.get(address, params={"image_size": 64})
    assert (whole.content, whole.headers["etag"]) == (b"onnx" * 100, f'"{made.sha256}"')
    assert f'filename="{checkpoint.id}-64.onnx"' in whole.headers["content-disposition"]
    part = client.get(address, params={"image_size": 64}, headers={"Range": "bytes=1-4"})
    assert (part.status_code, part.content) == (206, b"nnxo")
    assert client.get("/api/checkpoints/ckpt-none/onnx", params={"image_size": 64}).status_code == 404


@pytest.mark.parametrize("size", [0, 33, 8192, "x"])
def test_an_image_size_that_no_export_takes_is_told(client: TestClient, store: Store, size):
    checkpoint = proven(store, b"1")
    for call in (client.get, client.post):
        answer = call(f"/api/checkpoints/{checkpoint.id}/onnx", params={"image_size": size})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/image_size")


def test_an_export_without_images_to_compare_on_is_refused(client: TestClient, store: Store):
    checkpoint = proven(store, b"1")
    answer = client.post(f"/api/checkpoints/{checkpoint.id}/onnx")
    assert (answer.status_code, answer.json()["code"]) == (503, "base_set_missing")
    assert client.post("/api/checkpoints/ckpt-none/onnx").json()["code"] == "not_found"


def test_a_key_for_feeding_may_not_export(remote: TestClient, store: Store):
    checkpoint = proven(store, b"1")
    key = {"Authorization": f"Bearer {create_key(store, 'feed-1', 'feed')}"}
    answer = remote.post(f"/api/checkpoints/{checkpoint.id}/onnx", headers=key)
    assert (answer.status_code, answer.json()["needed_scope"]) == (403, "operate")
