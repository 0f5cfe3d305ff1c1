import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.limits import MAX_BODY_BYTES
from core import errors
from core.config import Settings
from core.errors import ERRORS_BY_CODE, DiskFull, NoUsableImages, TmsError, restore_error
from core.store import Store
from core.store.run_views import list_runs
from tests.api.runs import BODY, IMAGE

JSON = {"Content-Type": "application/json"}
BOX = "/images/0/detections/0/box"
MEMBERS = {"type", "title", "status", "detail", "code", "instance"}


def logged(settings: Settings) -> list[dict]:
    text = (settings.logs_dir / "api.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def post(client: TestClient, content: bytes | str | dict):
    content = json.dumps(content) if isinstance(content, dict) else content
    return client.post("/api/finetune", content=content, headers=JSON)


def boxed(box: str) -> str:
    return '{"images": [{"image_url": "http://a/b", "detections": [{"box": %s, "class_id": 0}]}]}' % box  # noqa: UP031


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"images": []}, "/images", "at least 1 item"),
        ({}, "/images", "missing"),
        ({**BODY, "epoch": 3}, "/epoch", "unknown"),
        ({**BODY, "a/b~c": 3}, "/a~1b~0c", "unknown"),
        ({**BODY, "epochs": "many"}, "/epochs", "valid integer"),
        ({**BODY, "image_size": 333}, "/image_size", "multiple of 32"),
        ({**BODY, "device": "/dev/sda"}, "/device", "match pattern"),
        ({"images": [{**IMAGE, "detections": [{"box": {}}]}]}, f"{BOX}/x_min", "missing"),
        (boxed('{"x_min": NaN, "y_min": 0, "x_max": 1, "y_max": 1}'), f"{BOX}/x_min", "finite"),
        (boxed('{"x_min": 0, "y_min": 0, "x_max": 1e999, "y_max": 1}'), f"{BOX}/x_max", "finite"),
        (b"", "", "missing"),
        (b"[]", "", "JSON object"),
        (b"null", "", "JSON object"),
        (b'{"images": [', "", "not JSON"),
        (b"<html>", "", "not JSON"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_told_where_and_how(client: TestClient, store: Store, body, pointer: str, words: str):
    answer = post(client, body)
    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "invalid_request"
    assert set(problem) == MEMBERS | {"errors", "error_count"}
    first = problem["errors"][0]
    assert (first["in"], first["pointer"]) == ("body", pointer)
    assert words in first["message"]
    assert words in problem["detail"]
    assert list_runs(store) == []


@pytest.mark.parametrize("body", [b'{"note": "\xff"}', b"[" * 100_000], ids=["not UTF-8", "too deep"])
def test_bytes_that_are_no_text_and_endless_nesting_are_refused(client: TestClient, body: bytes):
    answer = post(client, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "cannot be read as JSON" in answer.json()["detail"]


def test_every_fault_is_listed_and_none_of_the_content(client: TestClient):
    secret = "http://host/?token=" + "s3cret" * 800
    images = [{"image_url": secret, "detections": "none"} for _ in range(150)]
    problem = post(client, {"images": images}).json()
    assert problem["error_count"] == 300
    assert len(problem["errors"]) == 100
    assert "Faults in all: 300" in problem["detail"]
    assert "s3cret" not in json.dumps(problem)


def test_a_field_name_as_long_as_a_book_is_not_sent_back_whole(client: TestClient):
    assert len(post(client, {**BODY, "x" * 1_000_000: 1}).content) < 2_000


def test_a_wrong_parameter_is_told_where_and_how(client: TestClient):
    problem = client.get("/api/runs?limit=1000&status=asleep").json()
    assert [(one["in"], one["pointer"]) for one in problem["errors"]] == [
        ("query", "/limit"),
        ("query", "/status"),
    ]
    assert "'queued'" in problem["errors"][1]["message"]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length told", "chunked"])
def test_a_body_that_is_too_large_is_413(client: TestClient, is_chunked: bool):
    chunk = b" " * (MAX_BODY_BYTES // 8)
    content = (chunk for _ in range(9)) if is_chunked else chunk * 9
    answer = client.post("/api/finetune", content=content, headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "payload_too_large"
    assert "32 MiB" in answer.json()["detail"]


def test_an_unknown_address_and_a_wrong_method_are_problems_too(client: TestClient):
    unknown = client.get("/api/nothing")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    wrong = client.delete("/api/finetune")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    assert set(wrong.json()) >= MEMBERS


def test_an_unexpected_exception_is_logged_under_the_incident_it_answers(
    app: FastAPI, client: TestClient, settings: Settings
):
    app.add_api_route("/api/broken", lambda secret="tms_local_variable": {}["nothing here"])
    answer = client.get("/api/broken")
    problem = answer.json()
    assert answer.status_code == 500
    assert problem["code"] == "internal_error"
    assert problem["incident"] in problem["detail"]
    entry = next(line for line in logged(settings) if line.get("incident") == problem["incident"])
    assert entry["exception"][0]["exc_type"] == "KeyError"
    assert "tms_local_variable" not in json.dumps(entry)
    assert client.get("/api/runs").status_code == 200


def test_a_database_that_is_gone_is_503_and_named(client: TestClient, store: Store):
    with store.database.write() as session:
        session.execute(sa.text("ALTER TABLE run RENAME TO run_elsewhere"))
    answer = client.get("/api/runs")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer.json()["incident"] in answer.json()["detail"]


def test_each_code_stands_for_one_error():
    kinds = list(_kinds_below(TmsError))
    assert len({kind.code for kind in kinds}) == len(kinds) == len(ERRORS_BY_CODE)
    assert all(100 < kind.status < 600 and kind.title for kind in kinds)


def test_the_tree_that_is_drawn_is_the_tree_that_is():
    drawn = re.findall(r"[├└]── (\w+) +(\w+) +(\d+|\(start-up only\))", errors.__doc__ or "")
    there = {kind for kind in _kinds_below(TmsError) if kind.__module__ == errors.__name__}
    assert {(name, code) for name, code, _ in drawn} == {(kind.__name__, kind.code) for kind in there}
    assert all(ERRORS_BY_CODE[code].status == int(status) for _, code, status in drawn if status.isdecimal())


@pytest.mark.parametrize(
    "error", [NoUsableImages("none", quarantined=[{"index": 0}]), DiskFull("full", path="x")]
)
def test_an_error_comes_back_from_what_was_stored_of_it(error: TmsError):
    again = restore_error(json.loads(json.dumps(error.as_dict())))
    assert type(again) is type(error)
    assert (again.detail, again.extra) == (error.detail, error.extra)


def test_an_error_of_a_newer_version_is_still_told():
    again = restore_error({"code": "from_the_future", "title": "?", "detail": "It happened.", "extra": {}})
    assert (type(again), again.status, again.detail) == (TmsError, 500, "It happened.")


def test_every_code_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for code in [*ERRORS_BY_CODE, TmsError.code]:
        kind = ERRORS_BY_CODE.get(code, TmsError)
        assert re.search(rf"^\| `{code}` \| {kind.status} \|", text, re.MULTILINE), code


def _kinds_below(kind: type[TmsError]):
    for below in kind.__subclasses__():
        yield below
        yield from _kinds_below(below)
