"""A spare rehearses on a store of its own, and has the champion's model at hand for one run."""

import logging

import pytest
import sqlalchemy as sa

from core.errors import BaselineUnreadable
from core.jobs.warm import warm_up
from core.registry import checkpoints, publish
from core.store.tables import Batch, Run, Upload
from core.training.weights import load_model, set_aside
from tests.factories import CLASS_NAMES, write_base_set


@pytest.fixture
def champion(store, bench):
    registered = checkpoints.register(store, bench.weights, class_names=tuple(CLASS_NAMES))
    publish.promote(store, registered, instead_of=None, actor="t", reason="t")
    return registered


def test_a_rehearsal_succeeds_and_leaves_nothing_behind(store, champion, caplog):
    caplog.set_level(logging.INFO)
    write_base_set(store.settings.base_set_root)
    before = sorted(path.name for path in store.settings.data_dir.iterdir() if path.is_dir())
    warm_up(store)
    assert "The spare runner is ready." in caplog.text
    assert "Fetching" not in caplog.text
    after = {path.name for path in store.settings.data_dir.iterdir() if path.is_dir()}
    assert after - set(before) <= {"locks", "ultralytics"}
    with store.database.read() as session:
        for table in (Batch, Run, Upload):
            assert session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
    assert publish.champion(store).id == champion.id


def test_a_model_that_is_set_aside_is_taken_once(bench):
    unchanged = load_model(bench.weights).state_dict()
    set_aside(bench.weights)
    first = load_model(bench.weights)
    for parameter in first.parameters():
        parameter.data.zero_()
    second = load_model(bench.weights).state_dict()
    assert all(value.equal(unchanged[name]) for name, value in second.items())


def test_a_model_that_is_set_aside_is_not_taken_for_what_its_file_holds_later(bench, tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(bench.weights.read_bytes())
    set_aside(file)
    file.write_bytes(b"other")
    with pytest.raises(BaselineUnreadable):
        load_model(file)
