"""A store as a year of work leaves it, for the dashboard to be measured on."""

from bench.many_samples import fill
from core.config import Settings
from core.store import Store
from tests.samples import add_batch
from tests.ui import review_states, states

_FAILURE = {"code": "disk_full", "title": "The disk is full", "detail": "No space was left.", "extra": {}}
_ONE_OF_PUBLISHED = 20


def make_store(settings: Settings, *, samples: int, runs: int, checkpoints: int, pictures: int) -> str:
    """Fill it through the functions that a worker and intake call.

    Args:
        settings: Of its home.
        samples: In all; only the newest have pictures.
        runs: In all; those that succeeded made the checkpoints.
        checkpoints: In all, the baseline included.
        pictures: Samples of the newest batch, named T1.png, T2.png and so on.

    Returns:
        The newest batch.
    """
    with Store.open(settings) as store:
        champion_id = review_states.add_champion(store)
        for number in range(1, checkpoints):
            is_published = number % _ONE_OF_PUBLISHED == 0
            states.succeed_run(store, champion_id, promoted=is_published)
        for _ in range(runs - checkpoints + 1):
            states.fail_run(store, _FAILURE)
        fill(store, samples - pictures)
        batch_id = add_batch(store)
        for seed in range(1, pictures + 1):
            review_states.add_image(store, batch_id, seed, intake_number=samples + seed, position=seed)
        return batch_id
