"""The demo baseline, taught for real on a few small pictures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.config import Settings
from core.demo.base_set import write_base_set
from core.demo.faults import CLASS_NAMES
from core.training.isolation import isolate

pytestmark = pytest.mark.slow

# Plain Ultralytics in a process of its own, which knows nothing of this product.
_PREDICT = """
import sys
from ultralytics import YOLO
model = YOLO(sys.argv[1])
result = model.predict(sys.argv[2], imgsz=64, conf=0.0001, verbose=False, save=False)[0]
assert len(result.boxes) > 0
print("|".join(model.names.values()), end="")
"""


@pytest.fixture
def base_set(tmp_path: Path) -> Path:
    write_base_set(tmp_path / "base_set", train=14, valid=7, test=7)
    return tmp_path / "base_set"


def teach(base_set: Path, weights: Path, settings: Settings) -> list[float]:
    """Teach for two short epochs and return the shares that were reported."""
    isolate(settings.create_folders())
    from core.demo.baseline import train_baseline

    shares: list[float] = []
    train_baseline(
        base_set, weights, on_progress=lambda _, share: shares.append(share), epochs=2, image_size=64
    )
    return shares


def test_the_baseline_tells_its_progress_and_writes_one_file(
    base_set: Path, tmp_path: Path, settings: Settings
):
    before = set(base_set.rglob("*"))
    shares = teach(base_set, tmp_path / "out" / "baseline.pt", settings)
    assert shares == [step / 8 for step in range(1, 9)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["baseline.pt"]
    assert set(base_set.rglob("*")) == before


def test_the_baseline_predicts_in_plain_ultralytics(base_set: Path, tmp_path: Path, settings: Settings):
    weights = tmp_path / "baseline.pt"
    teach(base_set, weights, settings)
    picture = next((base_set / "test" / "images").iterdir())
    environment = {**os.environ, "YOLO_CONFIG_DIR": str(tmp_path / "plain"), "YOLO_OFFLINE": "true"}
    run = subprocess.run(
        [sys.executable, "-c", _PREDICT, str(weights), str(picture)],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "|".join(CLASS_NAMES)


def test_the_same_seed_teaches_the_same_weights(base_set: Path, tmp_path: Path, settings: Settings):
    import torch

    from core.training.weights import load_model

    for name in ("one.pt", "two.pt"):
        teach(base_set, tmp_path / name, settings)
    one, two = (load_model(tmp_path / name).state_dict() for name in ("one.pt", "two.pt"))
    assert all(value.dtype != torch.float16 for value in one.values())
    assert all(torch.equal(value, two[name]) for name, value in one.items())
