"""A report is one file: everything of the run is in it, and nothing is fetched."""

import base64
import io
import re
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from PIL import Image
from pydantic import TypeAdapter

from api import examples
from core.dataset import revision
from core.dataset.base_set import read_base_set
from core.dataset.revision import compose
from core.errors import NotFound
from core.evaluation.image_changes import ImageChanges
from core.evaluation.metrics import ClassScore, Score
from core.registry import checkpoints, evaluations
from core.registry.lineage import lineage
from core.registry.report import render
from core.schemas import Hyperparameters
from core.store import runs
from core.store.tables import Comparison, Run
from core.trainer import accept
from tests.factories import CLASS_NAMES, image, request, save_epoch, write_base_set
from tests.unit.registry.factories import register
from tests.unit.registry.report.test_markup import read

EVIL = "<script>alert('x')</script><img src=http://evil.example/x>"


def _score(set_name, value):
    of_class = ClassScore(
        class_id=0,
        class_name=CLASS_NAMES[0],
        box_count=3,
        precision=value,
        recall=value,
        ap50=value,
        ap50_95=value,
    )
    metrics = {"metrics/mAP50-95(B)": value, "fitness": value}
    return Score(
        set_name=set_name, set_digest="d" * 64, image_count=4, metrics=metrics, per_class=(of_class,)
    )


@pytest.fixture
def frozen(tmp_path):
    base = read_base_set(write_base_set(tmp_path / "base_set"))
    news = read_base_set(
        write_base_set(tmp_path / "news", images={"train": 1, "valid": 1, "test": 3}, size_px=80)
    )
    asked = Hyperparameters(epochs=2, train_replay=3, image_size=64)
    return compose(base, news.test.images, [], [], asked)


@pytest.fixture
def run(store, frozen):
    """A run that published a candidate, with a note that wants to be more than text."""
    champion = register(store, b"old")
    with store.database.write() as session:
        asked = request(image("http://x/a.png"), epochs=2, note=EVIL)
        run_id = accept(session, asked, source="api", actor="anna").id
    for status in ("preparing", "training"):
        runs.enter(store, run_id, status)
    for epoch in (1, 2):
        metrics = {"metrics/mAP50-95(B)": 0.2 * epoch}
        save_epoch(store, run_id, {"epoch": epoch, "losses": {"box_loss": 2.0 / epoch}, "metrics": metrics})
    candidate = checkpoints.register(
        store, store.settings.home / "new.pt", class_names=CLASS_NAMES, parent_id=champion.id, run_id=run_id
    )
    digest = revision.record(store, frozen)
    for checkpoint, value in ((champion, 0.4), (candidate, 0.45)):
        evaluations.record(store, checkpoint.id, _score("test", value), run_id=run_id)
    runs.enter(
        store, run_id, "evaluating", parent_id=champion.id, checkpoint_id=candidate.id, dataset_digest=digest
    )
    summary = {**examples.SUMMARY, "run_id": run_id, "verdict": "pass", "verdict_reason": f"Better. {EVIL}"}
    runs.enter(store, run_id, "succeeded", summary=summary)
    return SimpleNamespace(id=run_id, champion=champion, candidate=candidate)


def _pictures(html):
    contents = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", html)
    return [Image.open(io.BytesIO(base64.b64decode(content))) for content in contents]


def test_everything_is_told_and_nothing_is_fetched(store, run):
    html = render(store, run.id)
    seen = read(html)
    text = " ".join(seen.texts)
    for told in (
        run.id, run.champion.id, run.candidate.id, run.candidate.sha256, "Pass", "Better.", "anna", "+5.0",
        "40.0", "45.0", "learning rate", "box_loss", "Recipe", "Put aside", "The host answered 404.",
        *CLASS_NAMES,
    ):  # fmt: skip
        assert told in text, told
    assert {"script", "link", "iframe", "object", "img"}.isdisjoint(seen.tags)
    addresses = [
        value for name, value in seen.attributes if name in ("src", "href", "action", "srcset", "data")
    ]
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_images_are_in_it_with_their_boxes(store, run, frozen):
    html = render(store, run.id)
    pictures = _pictures(html)
    assert [picture.size for picture in pictures] == [(80, 80)] * 3
    assert html.count('class="box label"') == sum(len(one.labels) for one in frozen.feedback)
    # (0.5 - 0.2) * 80 px
    assert '<rect x="24.0" y="24.0" width="32.0" height="32.0"></rect>' in html


def _change(old, new, **more):
    ends = {"low_95": new - old - 0.02, "high_95": new - old + 0.02, "low_90": None, "high_90": None}
    return {"old": old, "new": new, "delta": new - old, "p_value": 0.031, **ends, **more}


UNKNOWN = dict.fromkeys(("old", "new", "delta", "low_95", "high_95", "low_90", "high_90", "p_value"))
ALL_UNKNOWN = dict.fromkeys(("ap50_95", "ap50", "precision", "recall", "f1"), UNKNOWN)


def _compared():
    of_class = {
        **ALL_UNKNOWN, "class_id": 0, "class_name": CLASS_NAMES[0], "box_count": 3, "image_count": 3,
        "p_holm": None, "ap50_95": _change(0.3, 0.2, low_95=None, high_95=None),
    }  # fmt: skip
    return {
        "set_name": "test", "set_digest": "d" * 64, "image_count": 4, "group_count": 3, "box_count": 12,
        "confidence": 0.25, "resamples": 1000, "per_class": [of_class],
        "overall": {**ALL_UNKNOWN, "ap50_95": _change(0.4, 0.45)},
    }  # fmt: skip


def _changed(frozen):
    claim = {"xyxy": [8, 8, 40, 40], "class_id": 1, "confidence": 0.83, "iou": 0.7}
    box = {"kind": "lost", "class_id": 0, "xyxy": [8, 8, 40, 40], "old": claim, "new": None, "harm": 0.75}
    alarm = {**box, "kind": "alarm_gone", "xyxy": None, "harm": -0.5}
    sha256 = [one.sha256 for one in frozen.test.images]
    changes = [
        {"image": 0, "sha256": sha256[0], "harm": 0.75, "gain": 0.0, "differences": [box]},
        {"image": 1, "sha256": sha256[1], "harm": 0.0, "gain": 0.5, "differences": [alarm]},
        {"image": 2, "sha256": "f" * 64, "harm": 0.0, "gain": 0.5, "differences": [alarm]},
    ]
    return TypeAdapter(list[ImageChanges]).dump_json([ImageChanges.model_validate(one) for one in changes])


def test_a_comparison_and_images_that_changed_are_shown_where_there_are_any(store, run, frozen):
    assert "Comparison" not in render(store, run.id)
    images_sha256 = store.blobs.put(_changed(frozen))
    with store.database.write() as session:
        session.add(
            Comparison(
                id="comparison-1", run_id=run.id, baseline_id=run.champion.id, candidate_id=run.candidate.id,
                set_name="test", set_digest="d" * 64, image_size=64, confidence=0.25, changes=_compared(),
                images_sha256=images_sha256,
            )
        )  # fmt: skip
    html = render(store, run.id)
    text = " ".join(read(html).texts)
    for told in (
        "3 independent groups", "+3.0 to +7.0", "0.031", "Worse: 1 image", "Better: 1 image",
        f"{CLASS_NAMES[0]}: no longer found", f"{CLASS_NAMES[0]}: false alarm is gone",
        f"{CLASS_NAMES[1]} 0.83",
    ):  # fmt: skip
        assert told in text, told
    assert "Recall" not in text
    assert html.count('class="box old"') == 2
    assert len(_pictures(html)) == 2 + 3
    store.blobs.delete(images_sha256)
    assert "Worse" not in render(store, run.id)


def test_a_run_that_came_to_nothing_has_a_report_too(store):
    with store.database.write() as session:
        run_id = accept(session, request(image("http://x/a.png")), source="api", actor="anna").id
    waiting = " ".join(read(render(store, run_id)).texts)
    assert "It has no outcome yet." in waiting
    runs.fail(store, run_id, {"code": "disk_full", "detail": "There was no space left."})
    failed = " ".join(read(render(store, run_id)).texts)
    for told in ("failed", "There was no space left.", "No epoch was finished.", "Nothing was scored."):
        assert told in failed
    with pytest.raises(NotFound):
        render(store, "run-none")


def test_images_that_are_gone_are_said_to_be(store, run, frozen):
    for one in frozen.feedback:
        one.path.unlink()
    html = render(store, run.id)
    assert html.count("not on this host any more") == 3
    assert _pictures(html) == []


def test_images_of_another_host_come_from_the_blob_store(store, run, frozen):
    for one in frozen.feedback:
        assert store.blobs.put(one.path.read_bytes()) == one.sha256
        one.path.unlink()
    assert len(_pictures(render(store, run.id))) == 3


def test_the_files_of_the_run_are_read_before_the_blob_store(store, run, frozen):
    folder = store.settings.dataset_folder(run.id)
    folder.mkdir(parents=True)
    frozen.model_copy(update={"feedback": frozen.feedback[:1]}).save(folder)
    assert len(_pictures(render(store, run.id))) == 1


def test_a_line_of_descent_ends_at_the_baseline(store, run):
    assert [row.id for row in lineage(store, run.candidate.id)] == [run.candidate.id, run.champion.id]
    with pytest.raises(NotFound):
        lineage(store, "ckpt-none")
    with store.database.read() as session:
        assert session.scalar(sa.select(Run.note).where(Run.id == run.id)) == EVIL
