"""The dataset revision: what one run learns from and is judged on, frozen and named by its digest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.dataset.base_set import BaseSet
from core.dataset.images import ImageSet, LabelledImage
from core.dataset.replay import plan_replay
from core.schemas import Hyperparameters
from core.store import Store
from core.store.ids import canonical_digest
from core.store.tables import DatasetRevision as DatasetRevisionRow

FILE_NAME = "revision.json"


class DatasetRevision(BaseModel):
    """What a run learns from and is judged on.

    Attributes:
        class_names: Ids are positions.
        feedback: Approved samples of the batch, without the holdout; every epoch sees all of them.
        replay_pool: Images that replay may draw from.
        replay_plan: Positions in `replay_pool`, one list an epoch.
        tune: For choosing the epoch; never judged on.
        test: Base test set, for judging.
        holdout: Every feedback sample kept for judging so far, for good.
        replay_strategy: How the plan was made.
        seed: Seed of the plan.
    """

    model_config = ConfigDict(frozen=True)

    class_names: tuple[str, ...]
    feedback: tuple[LabelledImage, ...]
    replay_pool: tuple[LabelledImage, ...]
    replay_plan: tuple[tuple[int, ...], ...]
    tune: ImageSet
    test: ImageSet
    holdout: ImageSet
    replay_strategy: str
    seed: int

    @property
    def replay_per_epoch(self) -> int:
        """Replay images of one epoch."""
        return len(self.replay_plan[0])

    @property
    def train_images(self) -> tuple[LabelledImage, ...]:
        """Feedback, then the replay pool: the images that `epoch_positions` points into."""
        return self.feedback + self.replay_pool

    def epoch_positions(self) -> list[list[int]]:
        """For each epoch, the positions in `train_images` that it sees."""
        feedback = list(range(len(self.feedback)))
        return [feedback + [len(feedback) + position for position in chosen] for chosen in self.replay_plan]

    def manifest(self) -> dict[str, Any]:
        """Contents and choices without file places: the same on every host."""
        return {
            "class_names": list(self.class_names),
            "feedback": [image.identity() for image in self.feedback],
            "replay": [
                [self.replay_pool[position].identity() for position in chosen] for chosen in self.replay_plan
            ],
            "replay_strategy": self.replay_strategy,
            "seed": self.seed,
            "tune": self.tune.digest,
            "test": self.test.digest,
            "holdout": self.holdout.digest,
        }

    @property
    def digest(self) -> str:
        """sha256 of the manifest."""
        return canonical_digest(self.manifest())

    def save(self, folder: Path) -> None:
        """Write it, file places included, for the process that trains."""
        (folder / FILE_NAME).write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "DatasetRevision":
        """Read what `save` wrote."""
        return cls.model_validate_json((folder / FILE_NAME).read_text(encoding="utf-8"))


def compose(
    base: BaseSet,
    feedback: Sequence[LabelledImage],
    learned: Sequence[LabelledImage],
    holdout: Sequence[LabelledImage],
    hyperparameters: Hyperparameters,
) -> DatasetRevision:
    """Put a revision together.

    Args:
        base: The base set, in the class order of the live model.
        feedback: The batch's approved samples without its holdout.
        learned: Feedback that earlier champions learned from; joins the replay pool.
        holdout: All feedback samples kept for judging.
        hyperparameters: The run's.
    """
    # An image that is in the batch has newer boxes there than in the pool.
    newer = {image.sha256 for image in feedback} | {image.sha256 for image in holdout}
    pool = {image.sha256: image for image in (*base.train.images, *learned) if image.sha256 not in newer}
    replay_pool = tuple(pool[sha256] for sha256 in sorted(pool))
    plan = plan_replay(
        replay_pool,
        strategy=hyperparameters.replay_strategy,
        per_epoch=hyperparameters.train_replay,
        epochs=hyperparameters.epochs,
        seed=hyperparameters.seed,
    )
    return DatasetRevision(
        class_names=base.class_names,
        feedback=tuple(feedback),
        replay_pool=replay_pool,
        replay_plan=tuple(map(tuple, plan)),
        tune=base.tune,
        test=base.test,
        holdout=ImageSet(name="holdout", images=tuple(holdout)),
        replay_strategy=hyperparameters.replay_strategy,
        seed=hyperparameters.seed,
    )


def record(store: Store, revision: DatasetRevision) -> str:
    """Keep the revision's manifest in the database, once, and return its digest."""
    digest = revision.digest
    with store.database.write() as session:
        if session.get(DatasetRevisionRow, digest) is None:
            session.add(DatasetRevisionRow(digest=digest, manifest=revision.manifest()))
    return digest
