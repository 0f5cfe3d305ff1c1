import pytest

from core.evaluation.metrics import MAP50, MAP50_95, PRECISION, RECALL
from tests.weights import write_sure_weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sure_weights(bench, tmp_path_factory):
    return write_sure_weights(tmp_path_factory.mktemp("sure") / "sure.pt", bench.settings)


def seen_in(weights, images, confidence=0.25, image_size=64):
    from core.evaluation.predict import detect

    found = detect(weights, images, image_size=image_size, device="cpu", confidence=confidence)
    return {image.sha256: detections for image, detections in found}


def test_detections_are_inside_the_image_and_surest_first(bench, sure_weights):
    images = bench.base.test.images + bench.feedback
    found = seen_in(sure_weights, images)
    assert found.keys() == {image.sha256 for image in images}
    for image in images:
        for box in found[image.sha256]:
            left, top, right, bottom = box["xyxy"]
            assert 0 <= left < right <= image.width_px
            assert 0 <= top < bottom <= image.height_px
            assert (box["class_id"], round(box["confidence"], 1)) == (1, 1.0)
        confidences = [box["confidence"] for box in found[image.sha256]]
        assert confidences == sorted(confidences, reverse=True) != []


def test_what_is_seen_in_an_image_does_not_depend_on_the_others(bench, sure_weights):
    images = bench.base.test.images + bench.feedback
    together = seen_in(sure_weights, images)
    for image in images:
        assert seen_in(sure_weights, [image]) == {image.sha256: together[image.sha256]}


def test_what_the_weights_are_not_sure_of_is_left_out(bench, sure_weights):
    image = bench.feedback[0]
    assert seen_in(sure_weights, [image], 0.96) == {image.sha256: []}
    # Nothing was ever learned by these.
    assert seen_in(bench.weights, [image], 0.25) == {image.sha256: []}


@pytest.mark.real_data
def test_what_is_seen_is_what_plain_ultralytics_sees(bench, real_data):
    """But for a few pixels: its `predict` pads an image less than its `val` does."""
    from ultralytics import YOLO

    from core.dataset.base_set import read_base_set
    from core.feedback.overlap import iou_matrix

    weights = real_data / "weights" / "tms-baseline.pt"
    images = read_base_set(real_data / "tms-thermal").test.images
    ours = seen_in(weights, images, confidence=0.5, image_size=416)
    plain, matched = YOLO(weights), 0
    for image in images:
        (theirs,) = plain.predict(str(image.path), imgsz=416, conf=0.55, verbose=False)
        for xyxy, class_id in zip(theirs.boxes.xyxy.tolist(), theirs.boxes.cls.tolist(), strict=True):
            same_class = [box["xyxy"] for box in ours[image.sha256] if box["class_id"] == class_id]
            assert iou_matrix([xyxy], same_class).max(initial=0) > 0.8
            matched += 1
    assert matched > 5


def test_a_score_names_its_set_and_all_five_metrics(bench, tmp_path):
    from core.evaluation.predict import score

    test = bench.base.test
    scored = score(bench.weights, test, image_size=64, device="cpu", work_folder=tmp_path)
    assert set(scored.metrics) == {PRECISION, RECALL, MAP50, MAP50_95, "fitness"}
    assert (scored.set_name, scored.set_digest, scored.image_count) == ("test", test.digest, len(test.images))
    assert scored == score(bench.weights, test, image_size=64, device="cpu", work_folder=tmp_path)


@pytest.mark.real_data
def test_figures_equal_those_of_plain_ultralytics(bench, real_data, tmp_path):
    """Ultralytics' own validation, on copies, since it writes caches beside the labels."""
    import shutil

    from ultralytics import YOLO

    from core.dataset.base_set import read_base_set
    from core.evaluation.predict import score

    weights = real_data / "weights" / "tms-baseline.pt"
    shutil.copytree(real_data / "tms-thermal", tmp_path / "set", copy_function=shutil.copyfile)
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    base = read_base_set(tmp_path / "set")
    ours = score(weights, base.test, image_size=320, device="cpu", work_folder=tmp_path)
    theirs = YOLO(weights).val(
        data=str(tmp_path / "set" / "data.yaml"),
        split="test",
        imgsz=320,
        device="cpu",
        plots=False,
        batch=16,
        project=str(tmp_path / "val"),
        verbose=False,
    )
    assert ours.metrics == pytest.approx(theirs.results_dict, abs=1e-6)
    assert {row.class_id: row.ap50_95 for row in ours.per_class} == pytest.approx(
        {int(class_id): float(theirs.box.ap[row]) for row, class_id in enumerate(theirs.box.ap_class_index)},
        abs=1e-6,
    )
