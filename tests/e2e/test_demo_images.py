"""The example of the README over HTTP: `examples/finetune.json` on the demo's own images."""

import json

import pytest

from core.config import CHECKOUT, Settings
from core.schemas import FineTuneSummary
from tests.api.product import api_process
from tests.processes import end_processes_of, free_port, prepare_small_demo


@pytest.fixture
def demo(tmp_path):
    """Settings that name neither baseline nor base set."""
    settings = Settings(_env_file=None, home=tmp_path, api_port=free_port(), device="cpu")
    prepare_small_demo(tmp_path)
    yield settings
    end_processes_of(tmp_path)


def test_the_example_payload_becomes_published_weights(demo):
    text = (CHECKOUT / "examples" / "finetune.json").read_text(encoding="utf-8")
    payload = json.loads(text.replace(":8002/", f":{demo.api_port}/")) | {"epochs": 1, "train_replay": 4}
    with api_process(demo) as (_, client):
        answer = client.post("/api/finetune", json=payload)
        health = client.get("/health").json()
    assert answer.status_code == 200, answer.text
    summary = FineTuneSummary.model_validate(answer.json())
    assert (summary.feedback_samples, summary.replay_samples, summary.quarantined) == (12, 4, [])
    assert health["champion_id"] == summary.champion_id
