"""The client of docs/serving.md against a real server."""

import urllib.error
from pathlib import Path

import pytest

from core.registry import checkpoints, handover, promotion
from core.store.keys import create_key
from examples import hot_reload
from tests.api.conftest import serving
from tests.unit.registry.factories import proven

WEIGHTS = [bytes([number]) * 300_000 for number in range(3)]


@pytest.fixture
def address(client, app, settings):
    """A server on the same store as the test's."""
    with serving(app, settings) as (_, address):
        yield f"http://{address}"


@pytest.fixture
def follower(address, tmp_path):
    """A service whose model is the content of the weights."""
    return hot_reload.Champion(address, Path.read_bytes, tmp_path / "served", service="line-1")


def publish(store, content, instead_of=None):
    checkpoint = proven(store, content)
    before = instead_of.id if instead_of else None
    promotion.promote(store, checkpoint.id, expected_champion_id=before, actor="anna", reason="r")
    return checkpoint


def test_each_new_champion_is_taken_up_and_acknowledged(store, follower):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        follower.look()
    first = publish(store, WEIGHTS[0])
    assert follower.look()
    assert (follower.model, follower.manifest["id"]) == (WEIGHTS[0], first.id)
    assert not follower.look()
    second = publish(store, WEIGHTS[1], first)
    [service] = handover.state(store).services
    assert (service.service, service.is_current) == ("line-1", False)
    assert follower.look()
    assert follower.model == WEIGHTS[1]
    assert handover.state(store).services[0].is_current
    promotion.roll_back(store, expected_champion_id=second.id, actor="anna", reason="r")
    assert follower.look()
    assert follower.model == WEIGHTS[0]


def test_the_same_weights_published_again_are_not_loaded_again(store, follower):
    first = publish(store, WEIGHTS[0])
    follower.look()
    model = follower.model
    twin = publish(store, WEIGHTS[0], first)
    assert not follower.look()
    assert follower.model is model
    assert follower.manifest["id"] == twin.id


def test_a_download_that_broke_off_goes_on(store, follower, tmp_path, monkeypatch):
    checkpoint = publish(store, WEIGHTS[0])
    partial = tmp_path / "served" / f"{checkpoint.sha256}.partial"
    partial.parent.mkdir()
    partial.write_bytes(WEIGHTS[0][:100_000])
    asked, real = [], follower._open
    monkeypatch.setattr(follower, "_open", lambda *given: asked.append(given) or real(*given))
    assert follower.look()
    assert follower.model == WEIGHTS[0]
    assert asked[1][1]["Range"] == "bytes=100000-"
    assert not partial.exists()


@pytest.mark.parametrize("start", [b"other", WEIGHTS[1]], ids=["short", "whole"])
def test_a_damaged_download_is_thrown_away_and_the_old_model_serves_on(store, follower, tmp_path, start):
    first = publish(store, WEIGHTS[0])
    follower.look()
    second = publish(store, WEIGHTS[1][:-1] + b"x", first)
    partial = tmp_path / "served" / f"{second.sha256}.partial"
    partial.write_bytes(start)
    with pytest.raises(OSError, match="arrived damaged"):
        follower.look()
    assert follower.model == WEIGHTS[0]
    assert follower.manifest["id"] == first.id
    assert follower.look()
    assert follower.manifest["id"] == second.id


def test_weights_that_cannot_be_loaded_leave_the_old_model(store, address, tmp_path):
    def load(path):
        if path.read_bytes() == WEIGHTS[1]:
            raise ValueError("no model")
        return path

    follower = hot_reload.Champion(address, load, tmp_path / "served")
    first = publish(store, WEIGHTS[0])
    follower.look()
    model = follower.model
    publish(store, WEIGHTS[1], first)
    with pytest.raises(ValueError, match="no model"):
        follower.look()
    assert follower.model is model
    assert not handover.state(store).services[0].is_current


def test_a_key_is_sent(store, address, tmp_path):
    key = create_key(store, "inference", "feed")
    first = publish(store, WEIGHTS[0])
    with pytest.raises(urllib.error.HTTPError, match="401"):
        hot_reload.Champion(address, Path.read_bytes, tmp_path / "served").look()
    assert hot_reload.Champion(address, Path.read_bytes, tmp_path / "served", key=key).look()
    assert handover.state(store).services[0].actor == "inference"
    assert checkpoints.get(store, first.id).sha256 == handover.state(store).sha256
