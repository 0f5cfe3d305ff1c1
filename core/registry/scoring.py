"""Checkpoints scored on frozen sets, with everything kept that their figures are made from."""

from collections.abc import Callable
from dataclasses import dataclass

from core.config import DEFAULT_IMAGE_SIZE
from core.dataset import frozen_sets
from core.dataset.images import ImageSet
from core.errors import NotFound
from core.evaluation.detections import Truth
from core.evaluation.figures import Figures, figures_of
from core.registry import checkpoints, evaluations
from core.store import Store
from core.store.tables import Checkpoint, Evaluation

Say = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """Where checkpoints are scored: a device and an image size, the same for all who are compared.

    Attributes:
        store: Where scores are kept.
        device: As `resolve_device` returned it; None if only known scores may be used.
        image_size: Longer side, in pixels.
        say: Told what is being done.
        check: Called before each batch of images; may raise to stop.
    """

    store: Store
    device: str | None
    image_size: int
    say: Say = lambda _: None
    check: Callable[[], None] = lambda: None

    def score(self, checkpoint: Checkpoint, images: ImageSet, run_id: str | None = None) -> Evaluation:
        """Score a checkpoint now.

        Raises:
            CheckpointDamaged: If the weights are not those that were registered.
            NotFound: If nothing may be scored here.
        """
        if self.device is None:
            raise NotFound(f"{checkpoint.id} has no score on the {images.name} set of today. Score it first.")
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
