"""What a run would be made of, read once: many requests can then be previewed on it."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.dataset import feedback_set, frozen_sets, pins, revision
from core.dataset.base_set import BaseSet
from core.dataset.images import LabelledImage
from core.dataset.revision import DatasetRevision
from core.registry import publish
from core.schemas import Hyperparameters, SampleRole
from core.store import Store
from core.store.ids import canonical_digest


@dataclass(frozen=True)
class Prospect:
    """The parts that the next run on all that was approved would be composed of.

    Attributes:
        base: The base set, in the class order of the live model.
        new: Approved feedback that no champion has learned from.
        learned: Feedback that champions learned from; it joins the replay pool.
        held_out: Feedback kept for judging.
        pinned: sha256 of images that every epoch replays.
    """

    base: BaseSet
    new: tuple[LabelledImage, ...]
    learned: tuple[LabelledImage, ...]
    held_out: tuple[LabelledImage, ...]
    pinned: frozenset[str]

    def first_epoch(self, hyperparameters: Hyperparameters) -> DatasetRevision:
        """The revision that a run would freeze now, cut off behind its first epoch.

        How replay is drawn for an epoch does not depend on how many follow, so this is the run's own first.
        """
        short = hyperparameters.model_copy(update={"epochs": 1})
        return revision.compose(self.base, self.new, self.learned, self.held_out, short, self.pinned)


def base_set(store: Store) -> BaseSet:
    """The base set in the class order of the live model, if one is live.

    Raises:
        BaseSetMissing: If there is no base set.
        BaseSetInvalid: If it cannot be read.
        ClassMapMismatch: If it does not name the live model's classes.
    """
    base = frozen_sets.base_set(store)
    live = publish.champion(store)
    return base.in_order_of(live.class_names) if live else base


def prospect(store: Store, base: BaseSet) -> Prospect:
    """What is approved now, beside a base set that was read before; no image is fetched."""
    with store.database.read() as session:
        sides = (
            feedback_set.not_learned(session),
            feedback_set.learned(session),
            feedback_set.kept_for_judging(session),
        )
    new, learned, held_out = (tuple(feedback_set.without_files(side)) for side in sides)
    return Prospect(base, new, learned, held_out, frozenset(pin.sha256 for pin in pins.pins(store)))


def glimpse(epoch: DatasetRevision, most: int) -> list[tuple[SampleRole, LabelledImage]]:
    """Some images of the first epoch with their roles, feedback first, each kind by its share but never none.

    Which ones follows from the seed, and an image stays in the choice when others join the epoch.

    Args:
        epoch: From `Prospect.first_epoch`.
        most: How many images at most; at least 2.
    """
    replay = [epoch.replay_pool[position] for position in epoch.replay_plan[0]]
    total = max(1, len(epoch.feedback) + len(replay))
    for_feedback = round(most * len(epoch.feedback) / total)
    for_feedback = min(max(for_feedback, min(1, len(epoch.feedback))), most - min(1, len(replay)))
    return [
        *(("feedback", image) for image in _drawn(epoch.feedback, for_feedback, epoch.seed)),
        *(("replay", image) for image in _drawn(replay, most - for_feedback, epoch.seed)),
    ]


def _drawn(
    images: list[LabelledImage] | tuple[LabelledImage, ...], most: int, seed: int
) -> Iterator[LabelledImage]:
    yield from sorted(images, key=lambda image: canonical_digest([seed, image.sha256]))[:most]
