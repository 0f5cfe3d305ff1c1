"""What tests need that start the product's own processes."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TypeVar

import psutil

from core.config import CHECKOUT

Found = TypeVar("Found")

# The demo as shipped takes more than a minute to teach; everything is the same on a smaller one.
_SMALL_DEMO = """
from core.config import get_settings
from core.demo.base_set import write_base_set
from core.demo.baseline import train_baseline
from core.demo.feedback import write_feedback
from core.training.isolation import isolate

demo = get_settings().create_folders().demo_dir
isolate(get_settings())
write_feedback(demo / "feedback")
write_base_set(demo / "base_set", train=24, valid=6, test=12)
train_baseline(demo / "base_set", demo / "baseline.pt", epochs=1, image_size=128, on_progress=lambda *_: None)
"""


def wait_until(condition: Callable[[], Found], timeout_s: float = 300) -> Found:
    """What the condition gives as soon as that is true; fail if it never is."""
    deadline = monotonic() + timeout_s
    tick = threading.Event()
    while not (found := condition()):
        assert monotonic() < deadline, f"never came true: {condition}"
        tick.wait(0.02)
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """This process' environment without settings of the product."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TMS_")}


def prepare_small_demo(home: Path) -> None:
    """Make a demo in this home, in seconds."""
    environment = clean_environment() | {"TMS_HOME": str(home)}
    subprocess.run([sys.executable, "-c", _SMALL_DEMO], cwd=CHECKOUT, env=environment, check=True)


def child_of(parent: psutil.Process, module: str) -> psutil.Process | None:
    """The living child that runs this module, as `python -m` names it; none if there is none."""
    for child in parent.children():
        with suppress(psutil.Error):
            if module in child.cmdline():
                return child
    return None


def end_processes_of(home: Path) -> None:
    """End the detached workers of this home and their runners, which nobody else would."""
    kill(*processes_of(home))


def kill(*processes: psutil.Process) -> None:
    """End processes as a power cut would, and wait until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    # Who has ended may stay on the list for long, until whoever started it asks for its exit status.
    wait_until(lambda: all(map(is_gone, processes)))


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended, waited for or not."""
    with suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


def processes_of(home: Path, module: str = "") -> list[psutil.Process]:
    """The processes that the product started for this home, all of them or those that run a module."""
    return [process for process in psutil.process_iter() if _is_of(process, home, module)]


def _is_of(process: psutil.Process, home: Path, module: str) -> bool:
    with suppress(psutil.Error):
        is_ours = process.environ().get("TMS_HOME") == str(home)
        return is_ours and (not module or process.cmdline()[1:3] == ["-m", module])
    return False
