import shutil

import numpy as np
import pytest
from PIL import Image

from core.dataset.base_set import read_base_set
from core.dataset.images import ImageSet
from core.evaluation.detections import Truth
from core.evaluation.figures import figures_of
from core.evaluation.image_changes import pairwise_iou
from core.evaluation.metrics import MAP50, MAP50_95, PRECISION, RECALL
from tests.unit.evaluation.factories import oracle
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
    scored = score(bench.weights, test, image_size=64, device="cpu", work_folder=tmp_path).score
    assert set(scored.metrics) == {PRECISION, RECALL, MAP50, MAP50_95, "fitness"}
    assert (scored.set_name, scored.set_digest, scored.image_count) == ("test", test.digest, len(test.images))
    assert scored == score(bench.weights, test, image_size=64, device="cpu", work_folder=tmp_path).score


@pytest.fixture(scope="module")
def thermal(real_data, tmp_path_factory):
    """The real base set, a copy, since Ultralytics writes caches beside the labels; and weights for it."""
    folder = tmp_path_factory.mktemp("thermal") / "set"
    shutil.copytree(real_data / "tms-thermal", folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder, real_data / "weights" / "tms-baseline.pt"


@pytest.fixture(scope="module")
def scored(bench, thermal, tmp_path_factory):
    """Truth, class names, and what the real weights score on the real valid split."""
    from core.evaluation.predict import score

    base = read_base_set(thermal[0])
    return (
        Truth.of(base.tune),
        base.class_names,
        score(thermal[1], base.tune, image_size=320, device="cpu", work_folder=tmp_path_factory.mktemp("v")),
    )


@pytest.mark.real_data
def test_figures_under_ultralytics_keys_equal_those_of_plain_ultralytics(thermal, scored, tmp_path):
    from ultralytics import YOLO

    ours = scored[2].score
    theirs = YOLO(thermal[1]).val(
        data=str(thermal[0] / "data.yaml"),
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


def _ultralytics_hits(truth, detections):
    """Each detection's hits as Ultralytics matches: the best IoU takes its box, not the surest claim."""
    hits = np.zeros((len(detections), 10), bool)
    for image in range(truth.image_count):
        boxes, rows = truth.image == image, np.flatnonzero(detections.image == image)
        iou = pairwise_iou(truth.xyxy[boxes], detections.xyxy[rows])
        iou *= truth.class_id[boxes][:, None] == detections.class_id[rows]
        for column, threshold in enumerate(np.linspace(0.5, 0.95, 10)):
            pairs = np.argwhere(iou >= threshold)
            pairs = pairs[iou[pairs[:, 0], pairs[:, 1]].argsort()[::-1]]
            pairs = pairs[np.unique(pairs[:, 1], return_index=True)[1]]
            pairs = pairs[np.unique(pairs[:, 0], return_index=True)[1]]
            hits[rows[pairs[:, 1]], column] = True
    return hits


@pytest.mark.real_data
def test_what_sets_our_figures_apart_from_ultralytics_is_matching_and_interpolation(scored):
    """From the raw detections that were kept: its own arithmetic gives its figures, COCO's gives ours."""
    from ultralytics.utils.metrics import ap_per_class

    truth, class_names, result = scored
    seen, theirs = result.detections, result.score
    hits = _ultralytics_hits(truth, seen)
    again = ap_per_class(hits, seen.confidence, seen.class_id.astype(float), truth.class_id.astype(float))
    # Its boxes are compared on the letterboxed image, ours, clipped, on the original: a thousandth at most.
    assert again[5].mean() == pytest.approx(theirs.map50_95, abs=1e-3)

    ours = figures_of(truth, seen, class_names=class_names, confidence=0.25)
    expected = oracle(truth, seen, class_names)
    assert ours.overall.ap50_95 == pytest.approx(np.nanmean(expected), abs=1e-6)
    assert ours.overall.ap50 == pytest.approx(np.nanmean(expected[0]), abs=1e-6)
    # Ultralytics draws straight lines between the points of the curve where COCO takes the next one.
    assert 0 < abs(ours.overall.ap50_95 - theirs.map50_95) < 0.02


@pytest.mark.real_data
def test_detections_come_in_the_order_of_the_set_and_in_pixels_of_the_upright_image(scored):
    truth, _, result = scored
    seen = result.detections
    assert (np.diff(seen.image) >= 0).all()
    assert (seen.xyxy >= 0).all()
    assert (seen.xyxy[:, 2:] <= truth.sizes_px[seen.image] + 1e-3).all()
    assert seen.confidence.min() >= 0.001
    # Images of several shapes were looked at in an order of their own: boxes still lie where objects are.
    sure = seen.where(seen.confidence > 0.5)
    best = [
        pairwise_iou(sure.xyxy[[row]], truth.xyxy[truth.image == sure.image[row]]).max(initial=0)
        for row in range(len(sure))
    ]
    assert np.mean(np.array(best) > 0.5) > 0.7


def test_an_image_turned_by_exif_is_seen_upright(bench, tmp_path):
    from core.evaluation.predict import score

    source = bench.base.test.images[0]
    upright = Image.open(source.path).crop((0, 0, 64, 32))
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    lying.save(tmp_path / "lying.png", exif=exif)
    upright.save(tmp_path / "upright.png")
    seen = []
    for name in ("lying", "upright"):
        moved = {"path": tmp_path / f"{name}.png", "width_px": 64, "height_px": 32}
        images = ImageSet(name="test", images=(source.model_copy(update=moved),))
        scored = score(bench.weights, images, image_size=64, device="cpu", work_folder=tmp_path)
        seen.append(scored.detections)
    assert len(seen[0])
    np.testing.assert_allclose(seen[0].xyxy, seen[1].xyxy, atol=1e-3)
