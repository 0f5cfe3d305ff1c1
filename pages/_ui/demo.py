"""The demo feedback: the payload of `examples/finetune.json`, for the API of this host."""

from typing import Any

from core.demo import build_payload
from core.jobs.service import collect, submit
from core.schemas import FeedbackRequest, FineTuneRequest
from core.store import Store
from pages._ui import frame


def start_demo(store: Store) -> str:
    """Queue the demo feedback and return the run's id."""
    request = FineTuneRequest.model_validate(_payload(store))
    return submit(store, request, source="dashboard", actor=frame.actor()).run_id


def collect_demo(store: Store) -> str:
    """Take the demo feedback in for review and return the batch's id; taken in before, it is not again."""
    request = FeedbackRequest(images=_payload(store)["images"], note="demo feedback")
    key = f"demo-feedback-{store.settings.api_port}"
    return collect(store, request, source="dashboard", actor=frame.actor(), idempotency_key=key)


def _payload(store: Store) -> dict[str, Any]:
    # Loopback also where the API listens on every address: only that is an allowed host of the demo.
    return build_payload(f"http://127.0.0.1:{store.settings.api_port}/demo/feedback")
