"""The demo fine-tune: the payload of `examples/finetune.json`, for the API of this host."""

from core.demo import build_payload
from core.jobs.service import submit
from core.schemas import FineTuneRequest
from core.store import Store
from pages._ui import frame


def start_demo(store: Store) -> str:
    """Queue the demo feedback and return the run's id."""
    # Loopback also where the API listens on every address: only that is an allowed host of the demo.
    payload = build_payload(f"http://127.0.0.1:{store.settings.api_port}/demo/feedback")
    return submit(
        store, FineTuneRequest.model_validate(payload), source="dashboard", actor=frame.actor()
    ).run_id
