import pytest

from core.evaluation.metrics import MAP50, MAP50_95, PRECISION, RECALL

pytestmark = pytest.mark.slow


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
