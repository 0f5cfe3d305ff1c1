"""The worked example of docs/judging.md: a fine-tune on new circuit boards, as the judge sees it."""

from pathlib import Path

from bench.judge_data import REAL_DATA, pcb_base, teach
from core.dataset.images import ImageSet
from core.evaluation.comparison import Comparison, compare
from core.evaluation.detections import Truth
from core.evaluation.gate import decide
from core.evaluation.image_changes import image_changes
from core.evaluation.intervals import Change
from core.evaluation.policy import Evidence, Policy
from core.schemas import Hyperparameters
from core.training.isolation import isolate
from tests.factories import make_settings

_SIZE, _CONFIDENCE = 320, 0.25
_ASKED = Hyperparameters(
    epochs=3, batch_size=8, image_size=_SIZE, learning_rate=3e-4, train_replay=120, freeze=0
)


def example(folder: Path) -> int:
    """Teach, score, compare and judge; prints all of it."""
    if not (REAL_DATA / "pcb").is_dir():
        print(f"The example needs the circuit boards at {REAL_DATA / 'pcb'}.")
        return 1
    isolate(make_settings(folder).create_folders())
    base = pcb_base(folder / "pcb", tests=("old_test",))
    news = pcb_base(folder / "news", tests=("feedback1_train",)).test.images
    holdout = pcb_base(folder / "holdout", tests=("feedback1_test",)).test.images
    weights = REAL_DATA / "weights" / "pcb-base.pt"
    taught = teach(folder, weights, base, news, _ASKED, "example")
    sets = (base.test, ImageSet(name="holdout", images=holdout))
    compared = [_compared(folder, images, weights, taught, base.class_names) for images in sets]
    decision = decide(Evidence(*compared), Policy("proven_gain"))
    print(f"\n{decision.verdict}: {decision.reason}")
    return 0


def _compared(
    folder: Path, images: ImageSet, old: Path, new: Path, class_names: tuple[str, ...]
) -> Comparison:
    from core.evaluation.predict import score

    seen = [
        score(one, images, image_size=_SIZE, device="cpu", work_folder=folder).detections
        for one in (old, new)
    ]
    truth = Truth.of(images)
    compared = compare(truth, *seen, class_names=class_names, confidence=_CONFIDENCE)
    _show(compared)
    changed = image_changes(truth, *seen, confidence=_CONFIDENCE, class_weights={})
    print(f"{sum(one.harm > 0 for one in changed)} images got worse in some way, of {len(images.images)}:")
    for one in changed[:3]:
        kinds = ", ".join(difference.kind for difference in one.differences)
        print(f"  {images.images[one.image].path.name}: harm {one.harm:.2f}, gain {one.gain:.2f} ({kinds})")
    return compared


def _show(compared: Comparison) -> None:
    print(f"\n{compared.set_name}: {compared.image_count} images, {compared.box_count} boxes")
    _line("all classes", compared.overall.ap50_95)
    for row in compared.per_class:
        _line(f"{row.class_name} ({row.box_count} boxes)", row.ap50_95, row.p_holm)


def _line(name: str, change: Change, p_holm: float | None = None) -> None:
    old, new, delta, low, high = (
        100 * (value or 0.0)
        for value in (change.old, change.new, change.delta, change.low_95, change.high_95)
    )
    holm = f"  p = {p_holm:.3f}" if p_holm is not None else ""
    print(f"  {name:24} {old:5.1f} → {new:5.1f}  {delta:+5.1f}  [{low:+5.1f}, {high:+5.1f}]{holm}")
