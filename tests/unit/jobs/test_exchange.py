"""Labelled images in and out by the class names of what is live."""

import io

import pytest

from core.errors import BaselineMissing, InvalidRequest
from core.feedback.exports import Selection
from core.jobs import exchange
from core.jobs.bell import Listener
from core.schemas import ImportOptions
from core.store import Store
from tests.unit.feedback.imports.archives import picture, silent, zipped
from tests.unit.registry.factories import promote, register


@pytest.fixture
def live(store: Store) -> Store:
    promote(store, register(store, b"weights"), None)
    return store


def sources() -> list[tuple[str, io.BytesIO]]:
    return [("x.zip", zipped({"classes.txt": "overload", "a.jpg": picture(), "a.txt": "0 0.5 0.5 0.5 0.5"}))]


def test_an_import_wakes_the_worker_and_a_dry_run_does_not(live: Store) -> None:
    worker = Listener(live.settings)
    for is_dry in (True, False):
        options = ImportOptions(dry_run=is_dry)
        report = exchange.import_batch(live, sources(), options, actor="ada", on_progress=silent)
        assert report.images == 1
        assert worker.has_rung() is not is_dry


def test_without_a_live_model_there_are_no_classes(store: Store) -> None:
    with pytest.raises(BaselineMissing, match="prepare"):
        exchange.import_batch(store, sources(), ImportOptions(), actor="ada", on_progress=silent)
    with pytest.raises(BaselineMissing, match="prepare"):
        exchange.export_samples(store, Selection(), "yolo")


def test_a_class_to_export_is_one_of_the_live_model(live: Store) -> None:
    with pytest.raises(InvalidRequest, match="no class moth"):
        exchange.export_samples(live, Selection(), "yolo", class_name="moth")
