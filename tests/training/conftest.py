"""A dataset and small real weights, made once for all tests that train."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.config import Settings
from core.dataset.base_set import BaseSet, read_base_set
from core.dataset.images import LabelledImage
from core.dataset.revision import DatasetRevision, compose
from core.schemas import Hyperparameters
from core.store import Store, claims
from core.trainer import accept
from core.training.courier import Courier, Report
from tests.factories import image, make_settings, request, write_base_set
from tests.weights import write_tiny_weights


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each module is one process' work: what its tests share is made once."""
    for item in items:
        if "tests/training" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@dataclass(frozen=True)
class Bench:
    """What a training needs besides hyperparameters."""

    settings: Settings
    weights: Path
    base: BaseSet
    feedback: tuple[LabelledImage, ...]

    def revision_for(self, hyperparameters: Hyperparameters) -> DatasetRevision:
        """The dataset with a replay plan for these epochs."""
        return compose(self.base, self.feedback, [], [], hyperparameters)


TINY = Hyperparameters(epochs=2, batch_size=2, image_size=64, train_replay=3, freeze=0)


@contextmanager
def a_courier(settings: Settings, also: Report | None = None) -> Iterator[Courier]:
    """The courier of a run that has just been taken."""
    with Store.open(settings) as store:
        with store.database.write() as session:
            run = accept(session, request(image("http://x/1.png")), source="test", actor="test")
            claim = claims.take(session, run, "test")
        with Courier(store, claim, also) as courier:
            yield courier


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Tiny weights, two feedback images, and a base set with a replay pool of six."""
    home = tmp_path_factory.mktemp("training")
    settings = make_settings(home).create_folders()
    weights = write_tiny_weights(home / "baseline.pt", settings)
    base = read_base_set(write_base_set(home / "base_set"))
    news = read_base_set(
        write_base_set(home / "news", images={"train": 1, "valid": 1, "test": 2}, size_px=48)
    )
    return Bench(settings, weights, base, news.test.images)
