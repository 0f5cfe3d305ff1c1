"""Checkpoints as ONNX files that see what the weights see."""

import shutil

import pytest

from core.dataset import revision
from core.errors import BaseSetMissing, ExportFailed, NotFound
from core.registry import checkpoints, onnx_exports
from core.store import Store
from tests.factories import CLASS_NAMES, make_settings
from tests.training.conftest import TINY

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path, bench):
    base_set = bench.settings.annotated_dataset_root
    with Store.open(make_settings(tmp_path, annotated_dataset_root=base_set)) as store:
        yield store


@pytest.fixture
def checkpoint(store, bench):
    recipe = {"image_size": 96}
    return checkpoints.register(store, bench.weights, class_names=CLASS_NAMES, recipe=recipe)


def test_an_export_sees_what_the_weights_see_and_plain_ultralytics_loads_it(store, checkpoint, bench):
    with pytest.raises(NotFound, match="was not exported for 96 px"):
        onnx_exports.known(store, checkpoint.id, 96)
    made = onnx_exports.export(store, checkpoint.id)
    assert (made.image_size, made.agrees) == (96, True)
    assert made.parity.image_count == len(bench.base.test.images)
    assert onnx_exports.known(store, checkpoint.id, 96) == made
    path = onnx_exports.path_of(store, checkpoint.id, 96)
    assert path.stat().st_size == made.size_bytes
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "manifest.json",
        "weights-96.json",
        "weights-96.onnx",
        "weights.pt",
    ]
    from ultralytics import YOLO

    plain = YOLO(path, task="detect")
    plain.predict(bench.feedback[0].path, imgsz=96, device="cpu", verbose=False)
    assert tuple(plain.names.values()) == CLASS_NAMES
    # Damaged, it is as if it were not there.
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NotFound):
        onnx_exports.known(store, checkpoint.id, 96)


def test_images_of_the_run_judge_its_candidate(store, bench):
    frozen = bench.revision_for(TINY).model_copy(update={"feedback": ()})
    digest = revision.record(store, frozen)
    candidate = checkpoints.register(
        store, bench.weights, class_names=CLASS_NAMES, run_id="run-1", dataset_digest=digest
    )
    from_store = onnx_exports._judging_images(store, candidate)
    assert [image.sha256 for image in from_store] == [image.sha256 for image in frozen.test.images]
    folder = store.settings.dataset_folder("run-1")
    folder.mkdir(parents=True)
    frozen.model_copy(update={"holdout": frozen.tune}).save(folder)
    of_run = onnx_exports._judging_images(store, candidate)
    assert of_run == [*frozen.test.images, *frozen.tune.images]


def test_of_many_images_some_are_compared(store, checkpoint, bench, monkeypatch):
    monkeypatch.setattr(onnx_exports, "_MOST_IMAGES", 3)
    chosen = onnx_exports._judging_images(store, checkpoint)
    assert chosen == list(bench.base.test.images[::2])


def test_without_images_nothing_is_exported(tmp_path, bench):
    with Store.open(make_settings(tmp_path)) as store:
        checkpoint = checkpoints.register(store, bench.weights, class_names=CLASS_NAMES)
        with pytest.raises(BaseSetMissing):
            onnx_exports.export(store, checkpoint.id)


def test_weights_that_cannot_be_loaded_are_told(store, tmp_path):
    path = tmp_path / "new.pt"
    path.write_bytes(b"no weights")
    broken = checkpoints.register(store, path, class_names=CLASS_NAMES)
    with pytest.raises(ExportFailed, match=f"{broken.id} could not be exported"):
        onnx_exports.export(store, broken.id)
    with pytest.raises(NotFound):
        onnx_exports.known(store, broken.id, 640)


@pytest.mark.real_data
def test_a_real_detector_sees_the_same_in_real_images(tmp_path, real_data):
    shutil.copytree(real_data / "tms-thermal", tmp_path / "set", copy_function=shutil.copyfile)
    with Store.open(make_settings(tmp_path / "home", annotated_dataset_root=tmp_path / "set")) as store:
        names = ("Full wire overload", "Loose Joint -Faulty", "Loose Joint -Potential",
                 "Point Overload - Faulty", "normal")  # fmt: skip
        weights = real_data / "weights" / "tms-baseline.pt"
        checkpoint = checkpoints.register(store, weights, class_names=names)
        made = onnx_exports.export(store, checkpoint.id, 416)
    assert made.agrees, made
    assert made.parity.image_count == 10
    assert made.parity.detection_count > 10
