"""Judges a candidate: scores it and what it is held against on the same images, compares, asks the gate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa

from core.config import DEFAULT_IMAGE_SIZE, Settings
from core.dataset import feedback_set, frozen_sets
from core.dataset.base_set import read_base_set
from core.dataset.images import ImageSet
from core.dataset.revision import DatasetRevision
from core.errors import BlobStoreUnavailable, CheckpointDamaged, NotFound
from core.evaluation.detections import Truth
from core.evaluation.figures import Figures, figures_of
from core.evaluation.gate import Decision, decide
from core.evaluation.policy import Evidence, Policy
from core.registry import checkpoints, comparisons, evaluations
from core.schemas import Promotion
from core.store import Store
from core.store.tables import Checkpoint, Evaluation, LedgerEntry, Run
from core.store.tables import Comparison as ComparisonRow

Say = Callable[[str], None]

_BASE_TEST, _HOLDOUT = "test", "holdout"


@dataclass(frozen=True)
class Judgement:
    """Two checkpoints compared, and what the gate finds.

    Attributes:
        comparisons: On the base test set, and on the holdout if there is one.
        decision: Verdict, reasons, and whether the policy would publish the candidate by itself.
    """

    comparisons: tuple[ComparisonRow, ...]
    decision: Decision


@dataclass(frozen=True)
class Bench:
    """Where checkpoints are scored: a device and an image size, the same for all who are compared.

    Attributes:
        store: Where scores are kept.
        device: As `resolve_device` returned it.
        image_size: Longer side, in pixels.
        say: Told what is being done.
        check: Called before each batch of images; may raise to stop.
    """

    store: Store
    device: str
    image_size: int
    say: Say = lambda _: None
    check: Callable[[], None] = lambda: None

    def score(self, checkpoint: Checkpoint, images: ImageSet, run_id: str | None = None) -> Evaluation:
        """Score a checkpoint now.

        Raises:
            CheckpointDamaged: If the weights are not those that were registered.
        """
        from core.evaluation.predict import score

        self.say(f"Scoring {checkpoint.id} on {len(images.images)} {images.name} images")
        scored = score(
            checkpoints.verified_weights(self.store, checkpoint),
            images,
            image_size=self.image_size,
            device=self.device,
            work_folder=self.store.settings.runs_dir,
            on_batch=self.check,
        )
        figures = figures_of(
            Truth.of(images),
            scored.detections,
            class_names=checkpoint.class_names,
            confidence=self.store.settings.deploy_confidence,
        )
        return evaluations.record(
            self.store,
            checkpoint.id,
            scored.score,
            image_size=self.image_size,
            figures=figures,
            detections=scored.detections,
            run_id=run_id,
        )

    def known_or_scored(self, checkpoint: Checkpoint, images: ImageSet) -> Evaluation:
        """What a checkpoint scored on exactly this set before, or scores now; raises as `score` does."""
        known = evaluations.find(self.store, checkpoint.id, images.digest, self.image_size)
        return known or self.score(checkpoint, images)


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
    scored = evaluations.evaluation_of(store, run.id, new.id, _BASE_TEST)
    for ancestor in _held_against(bench, old, new, frozen.test):
        comparisons.keep(store, Truth.of(frozen.test), ancestor, scored, tuple(new.class_names), run.id)


def verdict_on(store: Store, run: Run) -> Decision:
    """What the gate finds of a judged run, under the policy that it was asked with."""
    rows = comparisons.of_run(store, run.id)
    evidence = _evidence(store, rows, run.parent_id or "")
    return decide(evidence, policy_of(store.settings, run.request["promotion"]))


def compare(
    store: Store,
    baseline_id: str,
    candidate_id: str,
    *,
    device: str,
    promotion: Promotion = "manual",
    say: Say = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> Judgement:
    """Compare any two checkpoints on today's base test set and holdout; scores what is missing.

    Costs torch and time: a door asks `core.jobs.comparing` instead.

    Args:
        store: Where both are.
        baseline_id: The one that stands for the old.
        candidate_id: The one that is judged.
        device: As `resolve_device` returned it.
        promotion: The policy that says whether the candidate would be published.
        say: Told what is being done.
        check: Called before each batch of images; may raise to stop.

    Raises:
        NotFound: If there is no such checkpoint.
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
    return _judgement(store, rows, baseline_id, promotion)


def known(
    store: Store, baseline_id: str, candidate_id: str, promotion: Promotion = "manual"
) -> Judgement | None:
    """What two checkpoints were found to be when they were last compared, if ever; scores nothing."""
    rows = comparisons.of_pair(store, baseline_id, candidate_id)
    if not any(row.set_name == _BASE_TEST for row in rows):
        return None
    return _judgement(store, rows, baseline_id, promotion)


def judging_sets(store: Store, checkpoint: Checkpoint) -> Iterator[ImageSet]:
    """Today's base test set and holdout, in the class order of a checkpoint; those that are not empty.

    Raises:
        BaseSetMissing: If there is no base set, and BaseSetInvalid if it cannot be read.
        ClassMapMismatch: If it names other classes.
    """
    settings = store.settings
    base = read_base_set(settings.base_set_root, settings.base_group_pattern)
    holdout = ImageSet(name=_HOLDOUT, images=tuple(feedback_set.kept_for_judging(store)))
    for images in (base.in_order_of(checkpoint.class_names).test, holdout):
        if images.images:
            yield images


def figures(store: Store, evaluation: Evaluation) -> Figures:
    """Every figure of a score at today's deploy threshold, made again from its detections if need be.

    Raises:
        NotFound: If its detections were not kept.
        BlobDamaged: If they, or the set, are missing or altered.
        BlobStoreUnavailable: If the blob store does not answer.
    """
    confidence = store.settings.deploy_confidence
    if evaluation.figures and evaluation.figures["confidence"] == confidence:
        return Figures.model_validate(evaluation.figures)
    return figures_of(
        Truth.of(frozen_sets.frozen(store, evaluation.set_digest)),
        evaluations.detections_of(store, evaluation),
        class_names=checkpoints.get(store, evaluation.checkpoint_id).class_names,
        confidence=confidence,
    )


def image_size_of(checkpoint: Checkpoint) -> int:
    """The size a checkpoint was taught at, in pixels; the default for a baseline, of which nobody knows."""
    recipe = checkpoint.manifest.get("recipe") or {}
    return int(recipe.get("image_size", DEFAULT_IMAGE_SIZE))


def policy_of(settings: Settings, promotion: Promotion) -> Policy:
    """What is demanded of a candidate under these settings."""
    return Policy(
        promotion=promotion,
        margin=settings.regression_margin,
        class_margin=settings.class_regression_margin,
        decay_budget=settings.decay_budget,
        recall_floors=settings.recall_floors,
    )


def _judgement(store: Store, rows: list[ComparisonRow], baseline_id: str, promotion: Promotion) -> Judgement:
    decision = decide(_evidence(store, rows, baseline_id), policy_of(store.settings, promotion))
    return Judgement(tuple(rows), decision)


def _evidence(store: Store, rows: list[ComparisonRow], baseline_id: str) -> Evidence:
    direct = {row.set_name: row for row in rows if row.baseline_id == baseline_id}
    first = _champions(store)[-1:]
    ancestors = {
        _called(row.baseline_id, first): comparisons.changes_of(row)
        for row in rows
        if row.baseline_id != baseline_id
    }
    holdout = direct.get(_HOLDOUT)
    return Evidence(
        base=comparisons.changes_of(direct[_BASE_TEST]),
        holdout=comparisons.changes_of(holdout) if holdout else None,
        ancestors=ancestors,
    )


def _called(checkpoint_id: str, first: list[str]) -> str:
    return "the baseline" if [checkpoint_id] == first else f"{checkpoint_id}, the best of the last champions"


def _held_against(bench: Bench, old: Checkpoint, new: Checkpoint, test: ImageSet) -> Iterator[Evaluation]:
    """Scores of the best of the last champions, and of the first, unless the one that is live is it."""
    champions = [id_ for id_ in _champions(bench.store) if id_ not in (old.id, new.id)]
    last = islice(champions, bench.store.settings.decay_champions)
    scored = [one for id_ in last if (one := _scored_if_possible(bench, id_, new, test))]
    best = max(scored, key=_ap, default=None)
    if best is not None and _ap(best) > _ap(bench.known_or_scored(old, test)):
        yield best
    baseline = _scored_if_possible(bench, champions[-1], new, test) if champions else None
    if baseline is not None and (best is None or baseline.checkpoint_id != best.checkpoint_id):
        yield baseline


def _champions(store: Store) -> list[str]:
    """Whatever was live, the last first and each once."""
    query = sa.select(LedgerEntry.checkpoint_id).order_by(LedgerEntry.id.desc())
    with store.database.read() as session:
        return list(dict.fromkeys(session.scalars(query)))


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
