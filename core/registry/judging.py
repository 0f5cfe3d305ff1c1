"""Judges a candidate: scores it and what it is held against on the same images, and compares."""

from collections.abc import Callable, Iterator

from core.dataset import feedback_set, frozen_sets
from core.dataset.images import ImageSet
from core.dataset.revision import DatasetRevision
from core.errors import BlobStoreUnavailable, CheckpointDamaged, NotFound
from core.evaluation.detections import Truth
from core.registry import checkpoints, comparisons, evaluations
from core.registry.scoring import Bench, Say, image_size_of
from core.registry.verdicts import BASE_TEST, Judgement, champions, judgement
from core.schemas import Promotion
from core.store import Store
from core.store.tables import Checkpoint, Evaluation, Run


def judge_run(bench: Bench, run: Run, frozen: DatasetRevision) -> None:
    """Score champion and candidate of a run in this process, compare them, and look further back.

    Args:
        bench: Where to score.
        run: With parent and candidate.
        frozen: What it is judged on.

    Raises:
        CheckpointDamaged: If weights are not those that were registered.
    """
    store = bench.store
    old, new = (checkpoints.get(store, id_ or "") for id_ in (run.parent_id, run.checkpoint_id))
    for images in filter(lambda images: images.images, (frozen.test, frozen.holdout)):
        before, after = (bench.score(checkpoint, images, run.id) for checkpoint in (old, new))
        bench.say(f"Comparing on {len(images.images)} {images.name} images")
        comparisons.keep(store, Truth.of(images), before, after, tuple(new.class_names), run.id)
    scored = evaluations.evaluation_of(store, run.id, new.id, BASE_TEST)
    for ancestor in _held_against(bench, old, new, frozen.test):
        comparisons.keep(store, Truth.of(frozen.test), ancestor, scored, tuple(new.class_names), run.id)


def compare(
    store: Store,
    baseline_id: str,
    candidate_id: str,
    *,
    device: str | None,
    promotion: Promotion = "manual",
    say: Say = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> Judgement:
    """Compare any two checkpoints on today's base test set and holdout; scores what is missing.

    Scoring costs torch and time: a door asks `core.jobs.comparing` instead.

    Args:
        store: Where both are.
        baseline_id: The one that stands for the old.
        candidate_id: The one that is judged.
        device: As `resolve_device` returned it; None if nothing may be scored here.
        promotion: The policy that says whether the candidate would be published.
        say: Told what is being done.
        check: Called before each batch of images; may raise to stop.

    Raises:
        NotFound: If there is no such checkpoint, or its score is missing and none may be made here.
        ClassMapMismatch: If they, or the base set, do not name the same classes.
        CheckpointDamaged: If weights are not those that were registered.
        BaseSetMissing: If there is no base set, and BaseSetInvalid if it cannot be read.
    """
    old, new = checkpoints.get(store, baseline_id), checkpoints.get(store, candidate_id)
    bench = Bench(store, device, image_size_of(new), say, check)
    rows = []
    for images in judging_sets(store, new):
        frozen_sets.freeze(store, images)
        before, after = (bench.known_or_scored(checkpoint, images) for checkpoint in (old, new))
        rows.append(comparisons.keep(store, Truth.of(images), before, after, tuple(new.class_names)))
    return judgement(store, rows, baseline_id, promotion)


def is_scored(store: Store, *checkpoint_ids: str) -> bool:
    """Whether all were scored on today's sets, at the size of the last of them; raises as `compare` does."""
    rows = [checkpoints.get(store, checkpoint_id) for checkpoint_id in checkpoint_ids]
    digests = [images.digest for images in judging_sets(store, rows[-1])]
    size = image_size_of(rows[-1])
    return all(evaluations.find(store, row.id, digest, size) for row in rows for digest in digests)


def judging_sets(store: Store, checkpoint: Checkpoint) -> Iterator[ImageSet]:
    """Today's base test set and holdout, in the class order of a checkpoint; those that are not empty.

    Raises:
        BaseSetMissing: If there is no base set, and BaseSetInvalid if it cannot be read.
        ClassMapMismatch: If it names other classes.
    """
    base = frozen_sets.base_set(store)
    with store.database.read() as session:
        kept = feedback_set.kept_for_judging(session)
    holdout = ImageSet(name=frozen_sets.HOLDOUT, images=tuple(feedback_set.labelled(store, kept)))
    for images in (base.in_order_of(checkpoint.class_names).test, holdout):
        if images.images:
            yield images


def _held_against(bench: Bench, old: Checkpoint, new: Checkpoint, test: ImageSet) -> Iterator[Evaluation]:
    """Scores of the best of the last champions, if the live one is not that, and of the first."""
    ever_live = champions(bench.store)
    earlier = [id_ for id_ in ever_live if id_ not in (old.id, new.id)]
    last = earlier[: bench.store.settings.decay_champions]
    scored = [one for id_ in last if (one := _scored_if_possible(bench, id_, new, test))]
    best = max([*scored, bench.known_or_scored(old, test)], key=_ap)
    first = _scored_if_possible(bench, ever_live[-1], new, test) if ever_live[-1] in earlier else None
    held_against = {one.checkpoint_id: one for one in (best, first) if one and one.checkpoint_id != old.id}
    yield from held_against.values()


def _ap(evaluation: Evaluation) -> float:
    return float((evaluation.figures or {})["overall"]["ap50_95"] or 0.0)


def _scored_if_possible(
    bench: Bench, checkpoint_id: str, new: Checkpoint, test: ImageSet
) -> Evaluation | None:
    """None where the weights are gone, or are of another class map: that is no reason to fail the run."""
    try:
        checkpoint = checkpoints.get(bench.store, checkpoint_id)
        if checkpoint.class_names != new.class_names:
            return None
        return bench.known_or_scored(checkpoint, test)
    except (NotFound, CheckpointDamaged, BlobStoreUnavailable) as error:
        bench.say(f"{checkpoint_id} cannot be held against the candidate. {error.detail}")
        return None
