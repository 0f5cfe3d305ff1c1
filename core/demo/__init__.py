"""A detector, a base set and feedback for those who have none at hand: all of it synthetic and seeded."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from filelock import FileLock

from core.demo.base_set import write_base_set
from core.demo.feedback import build_payload, write_feedback
from core.demo.whole import clear_partials

__all__ = ["build_payload", "ensure_demo"]

OnProgress = Callable[[str, float], None]


def ensure_demo(demo_root: Path, *, on_progress: OnProgress) -> None:
    """Make what is missing of the demo; a second process waits for the first.

    Each part appears whole or not at all, so that after a kill the next call goes on with what is missing.
    `core.training.isolation.isolate` must have been called, because teaching the baseline loads Ultralytics.

    Args:
        demo_root: Takes `base_set/`, `feedback/` and `baseline.pt`.
        on_progress: Told what is being made and the share of it that is done, 0 to 1.

    Raises:
        FileExistsError: If something that is not the demo's is in the way.
        TmsError: If the disk is full.
    """
    demo_root.mkdir(parents=True, exist_ok=True)
    with FileLock(demo_root / ".lock"):
        clear_partials(demo_root)
        write_feedback(demo_root / "feedback")
        write_base_set(demo_root / "base_set", on_share=partial(on_progress, "Drawing the demo base set"))
        _ensure_baseline(demo_root, on_progress)


def _ensure_baseline(demo_root: Path, on_progress: OnProgress) -> None:
    weights = demo_root / "baseline.pt"
    if weights.exists():
        return
    # Here, because it loads torch, which costs 5 s and 250 MB.
    from core.demo.baseline import train_baseline

    train_baseline(demo_root / "base_set", weights, on_progress=on_progress)
