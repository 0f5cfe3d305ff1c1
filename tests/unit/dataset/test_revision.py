from pathlib import Path

import yaml

from core.dataset.base_set import BaseSet
from core.dataset.images import ImageSet
from core.dataset.revision import DatasetRevision, compose, record
from core.dataset.yolo import write_yolo
from core.schemas import Hyperparameters
from core.store.tables import DatasetRevision as Row
from tests.factories import thermal_file
from tests.unit.dataset.factories import labelled

BASE = BaseSet(
    class_names=("a", "b"),
    train=ImageSet(name="train", images=tuple(labelled(f"train {n}", n % 2) for n in range(6))),
    tune=ImageSet(name="tune", images=(labelled("tune", 0),)),
    test=ImageSet(name="test", images=(labelled("test", 0),)),
)
FEEDBACK = [labelled("new 1", 0), labelled("new 2", 1), labelled("false alarm")]


def _compose(feedback=FEEDBACK, learned=(), holdout=(), **changes):
    return compose(BASE, feedback, learned, holdout, Hyperparameters(train_replay=2, epochs=3, **changes))


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
