"""How samples get out of quarantine: by a repair, through the whole of intake once more."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image
from pytest_httpserver import HTTPServer

from core.errors import InvalidSetting, NotFound, NotRepairable, SampleNotReviewable
from core.feedback import corrections, intake, quarantine, review
from core.feedback.policy import policies
from core.feedback.quarantine import Repair
from core.feedback.reasons import REASONS
from core.store import Store
from core.store.tables import Batch, QuarantineRepair, Sample
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

TakeIn = Callable[..., str]
OUTSIDE = (10, 10, 300, 30)


@pytest.fixture
def any_store(any_settings: Any) -> Any:
    with Store.open(any_settings.model_copy(update={"image_hosts": "localhost"})) as store:
        yield store


@pytest.fixture
def store(tmp_path: Any) -> Any:
    with Store.open(make_settings(tmp_path, image_hosts="localhost")) as store:
        yield store


@pytest.fixture
def url(httpserver: HTTPServer) -> str:
    httpserver.expect_request("/0.png").respond_with_data(thermal_file(0))
    return httpserver.url_for("/0.png")


def take_in(store: Store, batch_id: str) -> None:
    intake.take_in(
        store, batch_id, class_names=CLASS_NAMES, judging={}, champion_id="ckpt", on_progress=lambda *_: None
    )


def taken(store: Store, *images: dict[str, Any], is_trusted: bool = True) -> str:
    with store.database.write() as session:
        batch = intake.record_batch(
            session, request(*images), source="api", actor="feed", is_trusted=is_trusted
        )
    take_in(store, batch.id)
    return batch.id


def samples(store: Store, batch_id: str) -> list[Sample]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(Sample).filter_by(batch_id=batch_id).order_by(Sample.position)))


def boxes(store: Store, sample: Sample) -> list[Any]:
    with store.database.read() as session:
        newest = corrections.newest_of(session, sample.id)
        return newest.detections if newest else []


def repaired(store: Store, sample: Sample, kind: Any, **more: Any) -> Sample:
    quarantine.repair(store, sample.id, Repair(kind, "ada", **more))
    take_in(store, sample.batch_id)
    return next(one for one in samples(store, sample.batch_id) if one.id == sample.id)


def test_a_download_is_tried_again(any_store: Store, httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/late.png").respond_with_data(b"", status=404)
    httpserver.expect_ordered_request("/late.png").respond_with_data(thermal_file())
    (sample,) = samples(any_store, taken(any_store, image(httpserver.url_for("/late.png"))))
    assert sample.reason_code == "fetch_not_found"
    done = repaired(any_store, sample, "retry")
    assert (done.status, done.reason_code, done.revision > sample.revision) == ("approved", None, True)
    with any_store.database.read() as session:
        (row,) = session.scalars(sa.select(QuarantineRepair))
        assert (row.sample_id, row.kind, row.actor) == (sample.id, "retry", "ada")
        assert session.get_one(Batch, sample.batch_id).taken_in_at is not None


def test_boxes_are_clipped_without_another_download(
    any_store: Store, url: str, httpserver: HTTPServer
) -> None:
    posted = image(url, detection(OUTSIDE), detection((70, 10, 90, 30), 1))
    (sample,) = samples(any_store, taken(any_store, posted, is_trusted=False))
    assert sample.reason_code == "box_outside"
    done = repaired(any_store, sample, "clip")
    assert done.status == "pending"
    assert boxes(any_store, done) == [{"xyxy": [10, 10, 64, 30], "class_id": 0}]
    # Nothing is left out unseen.
    assert {one["code"] for one in done.warnings} == {"box_outside"}
    assert len(httpserver.log) == 1


def test_corners_are_put_in_order(store: Store, url: str) -> None:
    (sample,) = samples(store, taken(store, image(url, detection((30, 30, 10, 10)))))
    assert sample.reason_code == "box_inverted"
    done = repaired(store, sample, "clip")
    assert boxes(store, done) == [{"xyxy": [10, 10, 30, 30], "class_id": 0}]


def test_an_image_without_a_box_left_does_not_teach_that_nothing_is_there(store: Store, url: str) -> None:
    (sample,) = samples(store, taken(store, image(url, detection((70, 10, 90, 30)))))
    assert sample.reason_code == "box_outside"
    aside = repaired(store, sample, "clip")
    assert (aside.status, aside.reason_code) == ("quarantined", "box_none_left")
    done = repaired(store, aside, "accept", reason="A bird, and it is gone.")
    assert (done.status, boxes(store, done)) == ("approved", [])


def test_a_repaired_sample_is_reviewed_only_behind_intake(any_store: Store, url: str) -> None:
    (sample,) = samples(any_store, taken(any_store, image(url, detection(OUTSIDE)), is_trusted=False))
    quarantine.repair(any_store, sample.id, Repair("clip", "ada"))
    (waiting,) = samples(any_store, sample.batch_id)
    with pytest.raises(SampleNotReviewable):
        review.give_verdict(any_store, sample.id, "approved", seen_revision=waiting.revision, actor="ben")
    take_in(any_store, sample.batch_id)
    (waiting,) = samples(any_store, sample.batch_id)
    review.give_verdict(any_store, sample.id, "approved", seen_revision=waiting.revision, actor="ben")
    assert samples(any_store, sample.batch_id)[0].status == "approved"


def test_the_window_of_a_stored_image_is_kept(store: Store, httpserver: HTTPServer) -> None:
    counts = Image.fromarray(thermal_pixels(3)[:, :, 0].astype("uint16") * 100)
    httpserver.expect_request("/16.png").respond_with_data(encode(counts, "PNG"))
    posted = image(httpserver.url_for("/16.png"), detection(OUTSIDE))
    (sample,) = samples(store, taken(store, posted))
    assert sample.window is not None
    done = repaired(store, sample, "clip")
    assert (done.status, done.window) == ("approved", sample.window)
    assert len(httpserver.log) == 1


def test_classes_are_mapped(store: Store, url: str) -> None:
    posted = image(url, detection(class_id="Hot Joint"), detection((1, 1, 9, 9), class_id=9))
    (sample,) = samples(store, taken(store, posted))
    assert sample.reason_code == "class_unknown"
    done = repaired(store, sample, "map_class", class_map={"Hot Joint": "hot joint"})
    assert done.reason_code == "class_unknown"
    done = repaired(store, done, "map_class", class_map={"9": None})
    assert boxes(store, done) == [{"xyxy": [10, 10, 30, 30], "class_id": 0}]


def test_a_conflict_waits_for_a_person(any_store: Store, url: str) -> None:
    (first,) = samples(any_store, taken(any_store, image(url, detection((1, 1, 9, 9)))))
    (second,) = samples(any_store, taken(any_store, image(url, detection((2, 2, 9, 9)))))
    assert (second.reason_code, second.conflicts_with_id) == ("conflict", first.id)
    assert boxes(any_store, first) == [{"xyxy": [1, 1, 9, 9], "class_id": 0}]
    with pytest.raises(NotRepairable, match="reason"):
        quarantine.repair(any_store, second.id, Repair("accept", "ada"))
    done = repaired(any_store, second, "accept", reason="The second look was better.")
    assert (done.status, done.is_holdout) == ("approved", False)
    assert boxes(any_store, done) == [{"xyxy": [2, 2, 9, 9], "class_id": 0}]


def test_what_was_rejected_does_not_come_back_unseen(store: Store, url: str) -> None:
    (first,) = samples(store, taken(store, image(url)))
    with store.database.write() as session:
        session.get_one(Sample, first.id).status = "rejected"
    (second,) = samples(store, taken(store, image(url)))
    assert (second.reason_code, second.conflicts_with_id) == ("conflict", first.id)


def test_the_same_boxes_again_are_no_conflict(store: Store, url: str) -> None:
    taken(store, image(url))
    (again,) = samples(store, taken(store, image(url)))
    assert again.status == "approved"
    assert [one["code"] for one in again.warnings] == ["duplicate_earlier"]


def test_boxes_that_nobody_relies_on_yet_are_no_conflict(store: Store, url: str) -> None:
    taken(store, image(url, detection((1, 1, 9, 9))), is_trusted=False)
    (again,) = samples(store, taken(store, image(url, detection((2, 2, 9, 9)))))
    assert (again.status, again.warnings) == ("approved", [])


@pytest.mark.parametrize("kind", ["clip", "map_class", "accept"])
def test_a_repair_that_does_not_fit_is_refused(store: Store, kind: Any) -> None:
    (sample,) = samples(store, taken(store, image("file:///etc/passwd")))
    with pytest.raises(NotRepairable, match="retry"):
        quarantine.repair(store, sample.id, Repair(kind, "ada", reason="because", class_map={"a": "b"}))


def test_only_what_is_in_quarantine_is_repaired(store: Store, url: str) -> None:
    (sample,) = samples(store, taken(store, image(url)))
    with pytest.raises(NotRepairable, match="not in quarantine"):
        quarantine.repair(store, sample.id, Repair("retry", "ada"))
    with pytest.raises(NotFound):
        quarantine.repair(store, "sample-none", Repair("retry", "ada"))


def test_many_are_repaired_together_and_each_by_itself(any_store: Store, url: str) -> None:
    outside = [image(url, detection((number, 10, 300, 30))) for number in range(3)]
    batch_id = taken(any_store, *outside, image("file:///a"))
    listed = quarantine.list_quarantined(any_store, batch_id=batch_id, limit=2)
    rest = quarantine.list_quarantined(any_store, batch_id=batch_id, after=listed[-1].id)
    assert [one.position for one in (*listed, *rest)] == [0, 1, 2, 3]
    assert quarantine.count_by_code(any_store) == {"box_outside": 3, "fetch_refused_url": 1}
    ids = [one.id for one in (*listed, *rest)]
    outcome = quarantine.repair_all(any_store, Repair("clip", "ada"), sample_ids=ids)
    assert [outcome[id_] is None for id_ in ids] == [True, True, True, False]
    assert (
        quarantine.repair_all(any_store, Repair("clip", "ada"), batch_id=batch_id, code="box_outside") == {}
    )
    take_in(any_store, batch_id)
    # The same image three times with other boxes: the first is in use.
    assert [one.reason_code for one in samples(any_store, batch_id)] == [
        None, "conflict", "conflict", "fetch_refused_url",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("box_outside", "policy"),
        ("nonsense=warn", "nonsense"),
        ("box_outside=maybe", "maybe"),
        ("leak_validation=warn", "quarantine"),
        ("decode_failed=accept", "quarantine"),
    ],
)
def test_a_policy_that_cannot_be_is_named(store: Store, value: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        policies(store.settings.model_copy(update={"intake_policy": value}))


def test_the_operator_decides(store: Store, url: str) -> None:
    settings = store.settings.model_copy(
        update={"intake_policy": "box_outside = warn, duplicate_earlier=quarantine,box_too_small=accept"}
    )
    lenient = Store(settings, store.database, store.blobs)
    posted = image(url, detection(OUTSIDE), detection((10, 10, 10.2, 30)))
    (sample,) = samples(lenient, taken(lenient, posted))
    assert sample.status == "approved"
    assert [one["code"] for one in sample.warnings] == ["box_outside"]
    assert len(boxes(lenient, sample)) == 1
    (again,) = samples(lenient, taken(lenient, posted))
    assert again.reason_code == "duplicate_earlier"


def test_every_default_is_a_policy_that_may_be_chosen() -> None:
    assert all(reason.policy in reason.policies for reason in REASONS.values())
    assert {code for code, reason in REASONS.items() if "accept" in reason.repairs} <= {
        "box_none_left", "conflict", "duplicate_near", "duplicate_earlier",
    }  # fmt: skip
