"""What the shipped recipe comes to on real feedback: `python -m bench.batches`.

Three groups of circuit boards that look different from what the detector knows come in as three batches, one
after the other, through `run_finetune`: taken in, learned from, judged on the base test set and on the
feedback that intake keeps for judging. Prints a row a batch.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from bench.judge_data import REAL_DATA, pcb_base
from bench.report import conclude
from core import FineTuneRequest, FineTuneSummary, run_finetune
from core.config import Settings
from core.dataset.images import LabelledImage
from core.feedback import uploads
from core.store import Store
from tests.factories import detection, image

BATCHES = ("feedback1", "feedback2", "feedback3")
_SIZE_PX = 320


def main() -> int:
    """Run the batches, print what each came to, and say whether every one that could be judged passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replay", type=int, help="train_replay of each run, instead of the shipped default")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    if not (REAL_DATA / "pcb").is_dir():
        print(f"It needs the circuit boards at {REAL_DATA / 'pcb'}.")
        return 1
    with tempfile.TemporaryDirectory() as name:
        settings = _settings(Path(name), asked.device)
        hyperparameters = {"image_size": _SIZE_PX} | ({"train_replay": asked.replay} if asked.replay else {})
        summaries = [_fine_tune(settings, batch, hyperparameters) for batch in BATCHES]
    rows = [_row(batch, summary) for batch, summary in zip(BATCHES, summaries, strict=True)]
    ok = all(summary.verdict == "pass" for summary in summaries if summary.holdout_samples)
    return conclude("batches", rows, ok=ok, figures={row["batch"]: row for row in rows})


def _settings(folder: Path, device: str) -> Settings:
    config = {
        **yaml.safe_load((REAL_DATA / "pcb" / "data.yaml").read_text()),
        "path": str(REAL_DATA / "pcb"),
        "val": "old_test.txt",
        "test": "near_test.txt",
    }
    base_set = folder / "base_set"
    base_set.mkdir()
    (base_set / "data.yaml").write_text(yaml.safe_dump(config))
    return Settings(
        _env_file=None,
        home=folder / "home",
        pretrained_weights=REAL_DATA / "weights" / "pcb-base.pt",
        annotated_dataset_root=base_set,
        device=device,
    )


def _fine_tune(settings: Settings, batch: str, hyperparameters: dict[str, Any]) -> FineTuneSummary:
    folder = settings.home / batch
    folder.mkdir(parents=True)
    boards = pcb_base(folder, tests=(f"{batch}_train", f"{batch}_test")).test.images
    with Store.open(settings) as store:
        images = [_posted(store, board) for board in boards]
    return run_finetune(FineTuneRequest(images=images, **hyperparameters), settings=settings)


def _posted(store: Store, board: LabelledImage) -> dict[str, Any]:
    boxes = [
        detection(label.xyxy_in(board.width_px, board.height_px), label.class_id) for label in board.labels
    ]
    return image(uploads.keep(store, board.path.read_bytes(), "bench"), *boxes)


def _row(batch: str, summary: FineTuneSummary) -> dict[str, object]:
    old, new = (figures["metrics/mAP50-95(B)"] for figures in (summary.champion_metrics, summary.metrics))
    return {
        "batch": batch,
        "learned from": summary.feedback_samples,
        "replay": summary.replay_samples,
        "kept for judging": summary.holdout_samples,
        "base test, mAP50-95": f"{100 * old:.1f} → {100 * new:.1f}",
        "verdict": summary.verdict,
        "promoted": summary.promoted,
        "why": summary.verdict_reason,
    }


if __name__ == "__main__":
    sys.exit(main())
