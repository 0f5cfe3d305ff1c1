import os
import subprocess
import sys
from pathlib import Path

from core.config import Settings
from core.store import Store
from core.store.keys import create_key

CHECKOUT = Path(__file__).parents[2]
LOOK = "import sys; from api.app import create_app; create_app(); print(*sorted(sys.modules))"


def run(settings: Settings, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | settings.environment() | environment
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_starting_the_api_loads_neither_torch_nor_ultralytics(settings: Settings):
    loaded = set(run(settings, "-c", LOOK).stdout.split())
    assert "api.app" in loaded
    assert not loaded & {"torch", "torchvision", "ultralytics", "streamlit"}


def test_the_api_refuses_an_open_address_without_a_key(settings: Settings):
    ended = run(settings, "-m", "api.app", TMS_API_HOST="0.0.0.0")
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith("or set TMS_API_HOST=127.0.0.1.")
    assert "python -m core keys create NAME --scope feed" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_address_that_is_not_this_machine_s_ends_the_process_with_its_reason(settings: Settings):
    with Store.open(settings) as store:
        create_key(store, "feed-1", "feed")
    ended = run(settings, "-m", "api.app", TMS_API_HOST="192.0.2.7")
    assert ended.returncode != 0
    assert "192.0.2.7" in ended.stderr
