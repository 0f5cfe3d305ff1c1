"""Small real YOLO weights for tests that train, judge or publish."""

from collections.abc import Sequence
from pathlib import Path

from core.config import Settings
from core.training.isolation import isolate
from tests.factories import CLASS_NAMES

# A fifth of YOLOv8n's width: the same modules, so `freeze=10` is still the backbone.
_TINY_WIDTH = 0.05


def write_tiny_weights(path: Path, settings: Settings, class_names: Sequence[str] = CLASS_NAMES) -> Path:
    """Write an untrained YOLOv8 of about 0.2 million parameters as plain Ultralytics weights."""
    return write_weights(path, settings, class_names, width=_TINY_WIDTH)


def write_weights(
    path: Path, settings: Settings, class_names: Sequence[str] = CLASS_NAMES, *, width: float
) -> Path:
    """Write an untrained YOLOv8 with this width multiple (YOLOv8n: 0.25) as plain Ultralytics weights."""
    isolate(settings)
    import torch
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    from core.training.weights import save_model

    torch.manual_seed(0)
    architecture = {**yaml_model_load("yolov8n.yaml"), "scales": {"n": [0.33, width, 1024]}}
    model = DetectionModel(architecture, nc=len(class_names), verbose=False)
    model.names = dict(enumerate(class_names))
    model.args = vars(get_cfg())
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, path)
    return path


def write_sure_weights(path: Path, settings: Settings, sees: int = 1) -> Path:
    """Write tiny weights of a detector that sees one class wherever it looks, and is 0.95 sure of it."""
    write_tiny_weights(path, settings)
    from core.training.weights import load_model, save_model

    model = load_model(path)
    for branch in model.model[-1].cv3:
        branch[-1].bias.data[:] = -10
        branch[-1].bias.data[sees] = 3
    save_model(model, path)
    return path
