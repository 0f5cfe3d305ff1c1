"""Detections for the judge's benchmark: one champion taught twice, and what both see, measured here and now.

On the real images beside the checkout where they are, else on the demo's scenes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from core import demo
from core.config import CHECKOUT
from core.dataset.base_set import BaseSet, read_base_set
from core.dataset.images import LabelledImage
from core.dataset.revision import compose
from core.demo.base_set import write_base_set
from core.evaluation.detections import Detections, Truth
from core.schemas import Hyperparameters
from core.training.isolation import isolate
from tests.factories import make_settings
from tests.training.conftest import a_courier

REAL_DATA = CHECKOUT.parent / "shared" / "data"
_TRAINED_ON = 96
_TEST_LISTS = ("old_test", "near_test", "feedback1_test", "feedback2_test")
_ASKED = {"epochs": 1, "batch_size": 16, "train_replay": _TRAINED_ON, "learning_rate": 2e-4}


@dataclass(frozen=True)
class Measured:
    """A set, and what two models saw in it that differ only in the seed of their training."""

    source: str
    class_names: tuple[str, ...]
    truth: Truth
    champion: Detections
    candidate: Detections


def measure(folder: Path) -> Measured:
    """Teach the same weights the same images twice, with two seeds, and look at the test images."""
    settings = make_settings(folder).create_folders()
    isolate(settings)
    from core.evaluation.predict import score

    source, weights, base, size = _pcb(folder) if (REAL_DATA / "pcb").is_dir() else _demo(folder)
    seen = []
    for seed in (1, 2):
        asked = Hyperparameters(**_ASKED, seed=seed, image_size=size)
        taught = teach(folder, weights, base, base.train.images[:16], asked, f"seed-{seed}")
        scored = score(taught, base.test, image_size=size, device="cpu", work_folder=folder)
        seen.append(scored.detections)
    return Measured(source, base.class_names, Truth.of(base.test), *seen)


def teach(
    folder: Path,
    weights: Path,
    base: BaseSet,
    feedback: Sequence[LabelledImage],
    asked: Hyperparameters,
    name: str,
) -> Path:
    """Fine-tune as a run does; gives the candidate's weights."""
    from core.training.engine import fine_tune

    run_folder = folder / name
    (run_folder / "dataset").mkdir(parents=True)
    compose(base, feedback, [], [], asked).save(run_folder / "dataset")
    with a_courier(make_settings(folder)) as courier:
        return fine_tune(
            asked,
            parent=weights,
            dataset_folder=run_folder / "dataset",
            run_folder=run_folder,
            device="cpu",
            courier=courier,
        )


def pcb_base(folder: Path, tests: Sequence[str] = _TEST_LISTS) -> BaseSet:
    """The circuit boards as a base set, these lists as its test split."""
    config = {
        **yaml.safe_load((REAL_DATA / "pcb" / "data.yaml").read_text()),
        "path": str(REAL_DATA / "pcb"),
        "val": "feedback3_test.txt",
        "test": [f"{name}.txt" for name in tests],
    }
    folder.mkdir(exist_ok=True)
    (folder / "data.yaml").write_text(yaml.safe_dump(config))
    return read_base_set(folder)


def _pcb(folder: Path) -> tuple[str, Path, BaseSet, int]:
    base = _with_few_to_learn(pcb_base(folder / "pcb"))
    return "circuit boards (pcb)", REAL_DATA / "weights" / "pcb-base.pt", base, 320


def _demo(folder: Path) -> tuple[str, Path, BaseSet, int]:
    demo.ensure_demo(folder / "demo", on_progress=lambda *_: None)
    write_base_set(folder / "scenes", train=_TRAINED_ON, valid=12, test=300, seed=7)
    base = read_base_set(folder / "scenes", group_pattern="^(no transformers)$")
    return "demo scenes", folder / "demo" / "baseline.pt", _with_few_to_learn(base), 256


def _with_few_to_learn(base: BaseSet) -> BaseSet:
    few = base.train.model_copy(update={"images": base.train.images[:_TRAINED_ON]})
    return replace(base, train=few)


def chosen(measured: Measured, images: Sequence[int], from_candidate: Sequence[bool], name: str) -> Measured:
    """These images as a set of their own; `from_candidate` says where the two models change places."""
    truth = measured.truth
    rows = [np.flatnonzero(truth.image == image) for image in images]
    picked = np.concatenate([*rows, []]).astype(int)
    digest = f"{name} of {len(images)}"
    subset = Truth(
        set_name=name,
        set_digest=digest,
        sha256=tuple(f"{n:064x}" for n in range(len(images))),
        sizes_px=truth.sizes_px[list(images)],
        groups=np.arange(len(images)),
        image=np.repeat(np.arange(len(images)), list(map(len, rows))),
        xyxy=truth.xyxy[picked],
        class_id=truth.class_id[picked],
    )
    both = (measured.champion, measured.candidate)
    seen = [_gathered(both, images, np.array(from_candidate) ^ turned, digest) for turned in (False, True)]
    return Measured(measured.source, measured.class_names, subset, *seen)


def _gathered(
    both: tuple[Detections, Detections], images: Sequence[int], which: Sequence[bool], digest: str
) -> Detections:
    edges = [np.searchsorted(seen.image, np.arange(seen.image_count + 1)) for seen in both]
    parts = [
        (number, both[int(second)], slice(*edges[int(second)][image : image + 2]))
        for number, (image, second) in enumerate(zip(images, which, strict=True))
    ]
    counts = [rows.stop - rows.start for _, _, rows in parts]
    return Detections(
        set_digest=digest,
        image_count=len(images),
        image=np.repeat([number for number, _, _ in parts], counts),
        xyxy=np.concatenate([seen.xyxy[rows] for _, seen, rows in parts]),
        class_id=np.concatenate([seen.class_id[rows] for _, seen, rows in parts]),
        confidence=np.concatenate([seen.confidence[rows] for _, seen, rows in parts]),
    )
