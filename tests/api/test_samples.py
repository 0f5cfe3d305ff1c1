"""Review over HTTP: lists, one sample, corrections, verdicts, undo, images."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.feedback.samples import get_sample
from core.store import Store
from core.store.keys import create_key
from core.store.tables import Sample
from tests.factories import detection, thermal_file
from tests.samples import SPOT, add_batch, add_sample
from tests.unit.registry.factories import promote, register

OTHER = {"detections": [detection((0, 0, 8, 8), 1)]}


@pytest.fixture
def five(store: Store) -> list[str]:
    """Ids of five pending samples, newest first."""
    return [add_sample(store) for _ in range(5)][::-1]


@pytest.fixture
def champion(store: Store) -> None:
    """A live model, whose classes corrections may name."""
    promote(store, register(store, b"weights"), None)


def seen(revision: int) -> dict[str, str]:
    return {"If-Match": f'"{revision}"'}


def ids(answer: Any) -> list[str]:
    return [sample["id"] for sample in answer.json()]


def test_pages_follow_each_other_through_link_and_keep_what_was_asked(client: TestClient, five: list[str]):
    pages, address = [], "/api/samples?limit=2&sort=oldest&status=pending&has_warnings=false"
    while address:
        answer = client.get(address)
        pages.append(ids(answer))
        link = re.fullmatch(r'<(/api/samples\?\S+)>; rel="next"', answer.headers.get("link", ""))
        address = link[1] if link else ""
    assert pages == [five[:2:-1], five[2:0:-1], five[:1]]


def test_a_list_is_of_what_was_asked_for(client: TestClient, store: Store, five: list[str]):
    batch_id = add_batch(store)
    found = add_sample(
        store, batch_id, boxes=[(SPOT, 2)], group="T 7", client_sample_id="IR/1&2", is_holdout=True
    )
    for query in (
        {"batch_id": batch_id},
        {"class_id": 2},
        {"is_holdout": True},
        {"group": "T 7"},
        {"text": "r/1&"},
    ):
        assert ids(client.get("/api/samples", params=query)) == [found]
    assert ids(client.get("/api/samples", params={"status": "approved"})) == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "sort=random", "status=lost", "class_id=-1", "class_id=99999999999999999999",
     "colour=red", "text=%00", "cursor=nonsense", "batch_id=a%00b", "is_holdout=perhaps"],
)  # fmt: skip
def test_what_makes_no_sense_is_named(client: TestClient, query: str):
    answer = client.get(f"/api/samples?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_counts_for_the_header_of_a_list(client: TestClient, store: Store, five: list[str]):
    add_sample(store, status="approved", boxes=[(SPOT, 0), (SPOT, 2)])
    assert client.get("/api/samples/counts", params={"status": "pending"}).json() == {
        "matching": 5,
        "by_status": {"pending": 5, "approved": 1, "rejected": 0, "quarantined": 0},
        "by_class": {"0": 5},
    }


def test_one_sample_comes_with_its_revision_and_its_neighbours(client: TestClient, five: list[str]):
    answer = client.get(f"/api/samples/{five[2]}?sort=oldest&status=pending")
    sample = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert (sample["previous_id"], sample["next_id"]) == (five[3], five[1])
    assert sample["detections"] == sample["posted"] == sample["versions"][0]["detections"]


@pytest.mark.usefixtures("champion")
def test_a_review_from_correction_to_undo(client: TestClient, five: list[str]):
    address = f"/api/samples/{five[0]}"
    corrected = client.put(f"{address}/detections", json=OTHER, headers=seen(1))
    assert (corrected.status_code, corrected.headers["etag"]) == (200, '"2"')
    assert [box["box"] for box in corrected.json()["detections"]] == [OTHER["detections"][0]["box"]]
    # As a proxy that compresses passes the tag on.
    weak = {"If-Match": f"W/{corrected.headers['etag']}"}
    rejected = client.post(
        f"{address}/verdict", json={"decision": "rejected", "reason": "blurred"}, headers=weak
    )
    assert (rejected.json()["status"], rejected.json()["decided_by"]) == ("rejected", "local")
    undone = client.post(f"{address}/undo", headers=seen(3))
    assert (undone.json()["status"], undone.json()["version"]) == ("pending", 2)
    undone = client.post(f"{address}/undo", headers=seen(4))
    assert (undone.json()["revision"], undone.json()["version"]) == (5, 3)
    assert undone.json()["detections"] == corrected.json()["posted"]
    assert client.get(address).json()["versions"] == undone.json()["versions"]
    nothing = client.post(f"{address}/undo", headers=seen(5))
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_undo")


@pytest.mark.usefixtures("champion")
def test_the_second_of_two_reviewers_is_told(client: TestClient, store: Store, five: list[str]):
    address = f"/api/samples/{five[0]}"
    client.post(f"{address}/verdict", json={"decision": "approved"}, headers=seen(1))
    for answer in (
        client.put(f"{address}/detections", json=OTHER, headers=seen(1)),
        client.post(f"{address}/verdict", json={"decision": "rejected"}, headers=seen(1)),
        client.post(f"{address}/undo", headers=seen(1)),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "stale_sample")
        assert (problem["revision"], problem["changed_by"], problem["change"]) == (2, "local", "approved")
        assert "local approved it on" in problem["detail"]
    assert get_sample(store, five[0]).revision == 2


@pytest.mark.parametrize("tag", [None, "*", "1", '"-1"', '"x"', '"1", "2"', '"99999999999"'])
def test_a_change_names_what_was_seen(client: TestClient, five: list[str], tag: str | None):
    headers = {} if tag is None else {"If-Match": tag}
    answer = client.post(f"/api/samples/{five[0]}/verdict", json={"decision": "approved"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "if-match" in answer.json()["detail"]


@pytest.mark.usefixtures("champion")
def test_each_box_that_does_not_fit_is_named(client: TestClient, five: list[str]):
    boxes = {"detections": [detection((0, 0, 900, 8)), detection((0, 0, 8, 900))]}
    answer = client.put(f"/api/samples/{five[0]}/detections", json=boxes, headers=seen(1))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["reason"]) == (422, "boxes_refused", "box_outside")
    assert "Box 1" in problem["detail"]
    assert "Box 2" in problem["detail"]


def test_quarantine_is_repaired_and_not_reviewed(client: TestClient, store: Store):
    sample_id = add_sample(store, status="quarantined", reason_code="box_outside", revision=1)
    answer = client.post(f"/api/samples/{sample_id}/verdict", json={"decision": "approved"}, headers=seen(1))
    assert (answer.status_code, answer.json()["code"]) == (409, "sample_not_reviewable")


def test_many_at_once(client: TestClient, store: Store, five: list[str]):
    client.post(f"/api/samples/{five[0]}/verdict", json={"decision": "rejected"}, headers=seen(1))
    named = [{"id": one, "revision": 1} for one in five]
    result = client.post("/api/samples/verdicts", json={"decision": "approved", "samples": named}).json()
    assert result["counts"] == {"done": 4, "unchanged": 0, "stale": 1, "not_reviewable": 0, "not_found": 0}
    assert result["outcomes"][0]["outcome"] == "stale"
    again = {"decision": "reopened", "filter": {"status": "approved"}, "count": 4}
    assert client.post("/api/samples/verdicts", json=again).json()["counts"]["done"] == 4
    late = client.post("/api/samples/verdicts", json=again)
    assert (late.status_code, late.json()["code"]) == (409, "stale_sample")
    assert late.json()["instance"] == "/api/samples/verdicts"
    assert get_sample(store, five[1]).status == "pending"


@pytest.mark.parametrize(
    ("suffix", "kind"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_an_image_is_served_as_what_it_is_and_may_be_kept(
    client: TestClient, store: Store, suffix: str, kind: str
):
    content, small = thermal_file(1, file_format=suffix), thermal_file(2, file_format=suffix)
    sha256, small_sha256 = store.blobs.put(content), store.blobs.put(small)
    sample_id = add_sample(store, blob_sha256=sha256, thumbnail_sha256=small_sha256)
    for part, bytes_, digest in (("image", content, sha256), ("thumbnail", small, small_sha256)):
        address = f"/api/samples/{sample_id}/{part}"
        answer = client.get(address, params={"sha256": digest})
        assert (answer.content, answer.headers["content-type"]) == (bytes_, kind)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        for query in ("", f"?sha256={'0' * 64}"):
            assert client.get(address + query).headers["cache-control"] == "private, no-cache"
        again = client.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", f'"{digest}"')
        assert client.get(address, headers={"If-None-Match": '"other"'}).content == bytes_


def test_without_a_thumbnail_the_image_stands_in(client: TestClient, store: Store):
    content = thermal_file(1)
    sample_id = add_sample(store, blob_sha256=store.blobs.put(content))
    assert client.get(f"/api/samples/{sample_id}/thumbnail").content == content


def test_what_has_no_image_says_so(client: TestClient, store: Store):
    sample_id = add_sample(store, blob_sha256=None)
    problem = client.get(f"/api/samples/{sample_id}/image").json()
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert "no image yet" in problem["detail"]


def test_a_damaged_image_is_a_problem_and_no_image(client: TestClient, store: Store):
    sample_id = add_sample(store, blob_sha256="0" * 64)
    assert client.get(f"/api/samples/{sample_id}/image").json()["code"] == "blob_damaged"


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "", {}),
    ("GET", "/image", {}),
    ("GET", "/thumbnail", {}),
    ("PUT", "/detections", {"json": OTHER, "headers": seen(1)}),
    ("POST", "/verdict", {"json": {"decision": "approved"}, "headers": seen(1)}),
    ("POST", "/undo", {"headers": seen(1)}),
]


@pytest.mark.parametrize(("method", "path", "more"), CALLS)
class TestEveryCall:
    """What holds for all that concerns one sample."""

    def test_an_unknown_sample_is_404(self, client: TestClient, method: str, path: str, more: dict[str, Any]):
        problem = client.request(method, f"/api/samples/sample-none{path}", **more).json()
        assert (problem["status"], problem["code"]) == (404, "not_found")
        assert "GET /api/samples" in problem["detail"]

    def test_an_id_that_is_none_is_422(
        self, client: TestClient, method: str, path: str, more: dict[str, Any]
    ):
        assert client.request(method, f"/api/samples/a%00b{path}", **more).status_code == 422

    def test_a_key_for_feeding_is_not_enough(
        self, remote: TestClient, store: Store, method: str, path: str, more: dict[str, Any]
    ):
        sample_id, key = add_sample(store), create_key(store, "feed-1", "feed")
        headers = {**more.get("headers", {}), "Authorization": f"Bearer {key}"}
        answer = remote.request(method, f"/api/samples/{sample_id}{path}", **{**more, "headers": headers})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        with store.database.read() as session:
            assert session.get_one(Sample, sample_id).revision == 1


def test_the_name_of_the_key_is_the_reviewer(remote: TestClient, store: Store):
    sample_id, key = add_sample(store), create_key(store, "anna", "operate")
    headers = {**seen(1), "Authorization": f"Bearer {key}"}
    answer = remote.post(f"/api/samples/{sample_id}/verdict", json={"decision": "approved"}, headers=headers)
    assert answer.json()["verdicts"][0]["actor"] == "anna"
