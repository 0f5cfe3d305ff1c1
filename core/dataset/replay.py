"""Which old images are mixed into each epoch, so that learning the new does not cost the old."""

import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from core.dataset.images import LabelledImage
from core.schemas import ReplayStrategy

# Images without a box weigh like those of the most frequent class.
_BACKGROUND = -1


def plan_replay(
    pool: Sequence[LabelledImage],
    *,
    strategy: ReplayStrategy,
    per_epoch: int,
    epochs: int,
    seed: int,
    pinned: Collection[str] = (),
) -> list[list[int]]:
    """Choose the replay of every epoch, the same for the same pool and seed.

    Args:
        pool: The replay pool; its order does not matter.
        strategy: `stream` goes through the whole pool, without repeating, from epoch to epoch;
            `balanced` draws each epoch with weights inverse to class frequency; `random` draws once
            and repeats that draw; `none` takes nothing.
        per_epoch: Images per epoch; more than the pool holds means all of it.
        epochs: Number of epochs.
        seed: Seed of the choice.
        pinned: sha256 of images that every epoch replays, be they more than `per_epoch`; the strategy fills
            up with others. Only `none` leaves them out.

    Returns:
        Positions in `pool`, one list an epoch.
    """
    if strategy == "none":
        return [[]] * epochs
    by_content = sorted(range(len(pool)), key=lambda position: pool[position].sha256)
    always = [position for position in by_content if pool[position].sha256 in pinned]
    others = [position for position in by_content if pool[position].sha256 not in pinned]
    count = min(max(0, per_epoch - len(always)), len(others))
    return [always + drawn for drawn in _drawn(pool, others, strategy, count, epochs, seed)]


def _drawn(
    pool: Sequence[LabelledImage],
    by_content: list[int],
    strategy: ReplayStrategy,
    count: int,
    epochs: int,
    seed: int,
) -> list[list[int]]:
    chooser = random.Random(seed)  # noqa: S311 - reproducible, not secret
    if strategy == "balanced":
        weights = _rarity(pool)
        return [_weighted_draw(by_content, weights, count, chooser) for _ in range(epochs)]
    if strategy == "random":
        return [chooser.sample(by_content, count)] * epochs
    endless = _rounds(by_content, chooser)
    return [[next(endless) for _ in range(count)] for _ in range(epochs)]


def _rounds(positions: list[int], chooser: random.Random) -> Iterator[int]:
    while True:
        yield from chooser.sample(positions, len(positions))


def _rarity(pool: Sequence[LabelledImage]) -> list[float]:
    """Each image's weight: one over the frequency of its rarest class."""
    classes = [{label.class_id for label in image.labels} or {_BACKGROUND} for image in pool]
    frequency = Counter(class_id for present in classes for class_id in present)
    frequency[_BACKGROUND] = max(frequency.values(), default=1)
    return [max(1 / frequency[class_id] for class_id in present) for present in classes]


def _weighted_draw(
    positions: list[int], weights: list[float], count: int, chooser: random.Random
) -> list[int]:
    """Weighted sample without replacement: the largest `u ** (1 / w)` (Efraimidis and Spirakis, 2006)."""
    keys = {position: chooser.random() ** (1 / weights[position]) for position in positions}
    return sorted(positions, key=lambda position: keys[position], reverse=True)[:count]
