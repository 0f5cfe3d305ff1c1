from pathlib import Path

import sqlalchemy as sa
import yaml

from core.dataset.base_set import BaseSet
from core.dataset.images import ImageSet, SampleVersion
from core.dataset.revision import DatasetRevision, compose, record
from core.dataset.yolo import write_yolo
from core.schemas import Hyperparameters
from core.store.tables import DatasetRevision as Row
from core.store.tables import RevisionSample
from tests.factories import thermal_file
from tests.history import add_batch
from tests.unit.dataset.factories import labelled

BASE = BaseSet(
    class_names=("a", "b"),
    train=ImageSet(name="train", images=tuple(labelled(f"train {n}", n % 2) for n in range(6))),
    tune=ImageSet(name="tune", images=(labelled("tune", 0),)),
    test=ImageSet(name="test", images=(labelled("test", 0),)),
)
FEEDBACK = [labelled("new 1", 0), labelled("new 2", 1), labelled("false alarm")]


def _compose(feedback=FEEDBACK, learned=(), holdout=(), **changes):
    asked = Hyperparameters(**{"train_replay": 2, "epochs": 3} | changes)
    return compose(BASE, feedback, learned, holdout, asked)


def test_every_epoch_sees_all_feedback_and_its_own_replay():
    revision = _compose()
    epochs = revision.epoch_positions()
    assert [epoch[:3] for epoch in epochs] == [[0, 1, 2]] * 3
    assert revision.replay_per_epoch == 2
    replayed = [position for epoch in epochs for position in epoch[3:]]
    assert sorted(replayed) == [3, 4, 5, 6, 7, 8]


def test_the_digest_names_the_content():
    assert _compose().digest == _compose().digest
    moved = [image.model_copy(update={"path": image.path / "elsewhere"}) for image in FEEDBACK]
    assert _compose(moved).digest == _compose().digest
    others = [
        _compose(FEEDBACK[:2]),
        _compose([FEEDBACK[0], labelled("new 2", 0), FEEDBACK[2]]),
        _compose(seed=2),
        _compose(replay_strategy="random"),
        _compose(holdout=[labelled("kept", 0)]),
    ]
    assert len({revision.digest for revision in [_compose(), *others]}) == 6


def test_boxes_that_the_champion_added_are_counted_as_far_as_they_are_learned_from():
    filled, also, unused = (_filled(labelled(name, 0, 1)) for name in ("new 1", "earlier", "kept"))
    revision = _compose([filled, *FEEDBACK[1:]], learned=[also], holdout=[unused], train_replay=7)
    assert revision.filled_boxes == revision.manifest()["filled_boxes"] == 2
    assert _compose([filled], learned=[also], replay_strategy="none").filled_boxes == 1
    assert revision.digest != _compose([labelled("new 1", 0, 1), *FEEDBACK[1:]], train_replay=7).digest


def test_a_revision_without_any_has_the_manifest_and_so_the_digest_of_before():
    assert "filled_boxes" not in _compose().manifest()


def _filled(image):
    """The image, its first box added by the champion."""
    first, *others = image.labels
    return image.model_copy(update={"labels": (first.model_copy(update={"is_filled": True}), *others)})


def test_feedback_that_champions_learned_from_is_replayed():
    assert len(_compose(learned=[labelled("earlier", 0)]).replay_pool) == 7


def test_an_image_is_never_on_two_sides():
    again, kept = labelled("train 0", 1), labelled("train 1", 1)
    revision = _compose([*FEEDBACK, again], learned=[kept], holdout=[kept])
    pool = {image.sha256 for image in revision.replay_pool}
    assert not pool & {again.sha256, kept.sha256}
    assert len(pool) == 4


def test_it_survives_the_way_to_another_process(tmp_path):
    revision = _compose()
    revision.save(tmp_path)
    assert DatasetRevision.load(tmp_path) == revision


def test_its_manifest_is_kept_once(store):
    digest = record(store, _compose())
    assert record(store, _compose()) == digest
    with store.database.read() as session:
        assert session.get_one(Row, digest).manifest == _compose().manifest()


def _sample(name, sample_id, version=1):
    return labelled(name, 0).model_copy(
        update={"sample": SampleVersion(sample_id=sample_id, version=version)}
    )


def test_whose_boxes_they_are_is_not_part_of_the_digest():
    posted_twice = [[_sample("new", "sample-1")], [_sample("new", "sample-2", 3)], [labelled("new", 0)]]
    assert len({_compose(feedback).digest for feedback in posted_twice}) == 1
    assert (
        _compose(holdout=[_sample("kept", "sample-3")]).digest
        == _compose(holdout=[labelled("kept", 0)]).digest
    )


def test_each_sample_is_recorded_with_its_role_its_version_and_the_first_epoch_that_sees_it(any_store):
    first, second, old, unused, kept = add_batch(any_store, "a", "b", "c", "d", "e")
    pool = [_sample(f"old {number}", sample_id) for number, sample_id in enumerate((old, unused))]
    revision = compose(
        BASE,
        [_sample("new 1", first), _sample("new 2", second, 2)],
        pool,
        [_sample("kept", kept)],
        # Eight images are in the pool, and five of them are drawn.
        Hyperparameters(train_replay=1, epochs=5, seed=_seed_that_draws_the_first_of(pool)),
    )
    digest = record(any_store, revision)
    drawn = [revision.replay_pool[position].sha256 for (position,) in revision.replay_plan]
    assert _recorded(any_store, digest) == {
        first: ("feedback", 1, 1),
        second: ("feedback", 2, 1),
        old: ("replay", 1, drawn.index(pool[0].sha256) + 1),
        kept: ("holdout", 1, None),
    }


def _seed_that_draws_the_first_of(pool):
    """A seed under which one of two images of the pool is drawn, and not at once."""
    for seed in range(100):
        plan = compose(BASE, [], pool, [], Hyperparameters(train_replay=1, epochs=5, seed=seed))
        drawn = [plan.replay_pool[position].sha256 for (position,) in plan.replay_plan]
        if pool[0].sha256 in drawn[1:] and pool[1].sha256 not in drawn:
            return seed
    raise AssertionError("no such seed")


def test_the_same_boxes_from_another_sample_or_in_a_newer_version_are_recorded_too(any_store):
    first, second = add_batch(any_store, "a", "b")
    digest = record(any_store, _compose([_sample("new", first)]))
    for feedback in (_sample("new", second), _sample("new", first, 3)):
        assert record(any_store, _compose([feedback])) == digest
    assert _recorded(any_store, digest) == {first: ("feedback", 3, 1), second: ("feedback", 1, 1)}


def _recorded(store, digest):
    with store.database.read() as session:
        rows = session.scalars(sa.select(RevisionSample).filter_by(dataset_digest=digest))
        return {row.sample_id: (row.role, row.correction_version, row.first_epoch) for row in rows}


def test_plain_yolo_files_are_written_by_us(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(thermal_file(1, file_format="JPEG"))
    feedback = [labelled("new", 0, 1).model_copy(update={"path": path})]
    config = yaml.safe_load(write_yolo(_compose(feedback), tmp_path / "dataset").read_text())
    assert config["names"] == {0: "a", 1: "b"}
    folder = tmp_path / "dataset"
    copied, *replayed = (folder / config["train"]).read_text().splitlines()
    assert copied.endswith(".jpg")
    assert len(replayed) == 6
    label = copied.replace("/images/", "/labels/").replace(".jpg", ".txt")
    assert Path(label).read_text() == "0 0.5 0.5 0.2 0.1\n1 0.5 0.5 0.2 0.2"
