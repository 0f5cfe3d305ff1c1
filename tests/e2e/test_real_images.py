"""The production client's call on real images: over HTTP, and the same payload without any server."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core import FineTuneRequest, FineTuneSummary, run_finetune
from core.config import Settings
from core.dataset.base_set import read_base_set
from core.dataset.images import ImageSet, LabelledImage
from core.registry import checkpoints
from core.store import Store
from tests.api.product import api_process, run_python
from tests.factories import make_settings
from tests.processes import end_processes_of, free_port

pytestmark = pytest.mark.real_data

_PLAIN_ULTRALYTICS = """
import sys
from core.config import Settings
from core.training.isolation import isolate
isolate(Settings())
from ultralytics import YOLO
model = YOLO(sys.argv[1])
found = model.predict(sys.argv[2], imgsz=320, conf=0.1, device="cpu", save=False, verbose=False)
print(model.names, len(found[0].boxes))
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served_images(real_data: Path) -> Iterator[str]:
    """Address of the real training images on loopback."""
    folder = real_data / "tms-thermal" / "train" / "images"
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def _settings(home: Path, real_data: Path, host: str) -> Settings:
    return make_settings(
        home,
        pretrained_weights=real_data / "weights" / "tms-baseline.pt",
        annotated_dataset_root=real_data / "tms-thermal",
        image_hosts=host,
        device="cpu",
        worker_autostart=True,
        api_port=free_port(),
    )


def _by_name(images: ImageSet) -> list[LabelledImage]:
    """In the order of the file names: neighbours show one transformer."""
    return sorted(images.images, key=lambda image: image.path)


def _posted(image: LabelledImage, host: str) -> dict[str, Any]:
    def corner(label: Any, sign: int) -> tuple[float, float]:
        x = (label.center_x + sign * label.width / 2) * image.width_px
        y = (label.center_y + sign * label.height / 2) * image.height_px
        return min(max(x, 0), image.width_px), min(max(y, 0), image.height_px)

    boxes = [(corner(label, -1), corner(label, 1), label.class_id) for label in image.labels]
    detections = [
        {"box": {"x_min": x1, "y_min": y1, "x_max": x2, "y_max": y2}, "class_id": class_id}
        for (x1, y1), (x2, y2), class_id in boxes
    ]
    return {"image_url": f"http://{host}/{image.path.name}", "detections": detections}


def test_twelve_real_images_through_both_doors(real_data, served_images, tmp_path):
    base = read_base_set(real_data / "tms-thermal")
    payload = {
        "images": [_posted(image, served_images) for image in _by_name(base.train)[:72:6]],
        "train_replay": 24,
        "epochs": 2,
        "image_size": 320,
    }
    served = _settings(tmp_path / "served", real_data, served_images).create_folders()
    with api_process(served) as (_, client):
        answer = client.post("/api/finetune", json=payload)
    end_processes_of(served.home)
    assert answer.status_code == 200, answer.text
    summary = FineTuneSummary.model_validate(answer.json())
    assert set(answer.json()) == set(FineTuneSummary.model_fields)
    assert (summary.feedback_samples, summary.replay_samples, summary.dataset_size) == (12, 24, 36)
    assert (summary.quarantined, summary.holdout_samples) == ([], 0)
    assert (summary.verdict, summary.images_needed >= 30) == ("not_enough_evidence", True)
    said = run_python(served, "-c", _PLAIN_ULTRALYTICS, summary.weights_path, _by_name(base.test)[0].path)
    assert "Loose Joint -Faulty" in said

    here = run_finetune(
        FineTuneRequest(**payload), settings=_settings(tmp_path / "here", real_data, served_images)
    )
    assert here.dataset_digest == summary.dataset_digest
    assert here.metrics == pytest.approx(summary.metrics, abs=1e-3)
    assert here.champion_metrics == pytest.approx(summary.champion_metrics, abs=1e-3)


def test_weights_that_got_worse_are_kept_and_not_published(real_data, served_images, tmp_path):
    settings = _settings(tmp_path, real_data, served_images)
    images = _by_name(read_base_set(real_data / "tms-thermal").train)[:4]
    ruinous = {"optimizer": "SGD", "learning_rate": 0.2, "freeze": 0, "epochs": 2, "image_size": 320}
    summary = run_finetune(
        FineTuneRequest(images=[_posted(image, served_images) for image in images], **ruinous),
        settings=settings,
    )
    assert (summary.verdict, summary.promoted) == ("fail", False)
    assert "points that may be lost" in summary.verdict_reason
    with Store.open(settings) as store:
        baseline = checkpoints.get(store, summary.champion_id)
        assert baseline.run_id is None
        live = Path(summary.weights_path).read_bytes()
        assert live == (real_data / "weights" / "tms-baseline.pt").read_bytes()
        assert checkpoints.verified_weights(store, checkpoints.get(store, summary.checkpoint_id)).is_file()
