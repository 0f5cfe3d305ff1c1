"""Which device a run trains on, and the lock that keeps it to one run."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from filelock import FileLock, Timeout

from core.config import Settings
from core.errors import DeviceUnavailable

# Ultralytics sets it to 1 as it is imported, if nobody has set it.
_ASKED_THREADS = "" if "ultralytics" in sys.modules else os.environ.get("OMP_NUM_THREADS", "")
_LOCK_POLL_S = 0.1
_LOCK_WAIT_S = 0.5


def resolve_device(asked: str) -> str:
    """The Ultralytics device string for `auto`, `cpu`, `0` or `0,1`.

    Raises:
        DeviceUnavailable: If a GPU is asked for that this host does not have.
    """
    import torch

    gpu_count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return "0" if gpu_count else "cpu"
    missing = [index for index in asked.split(",") if asked != "cpu" and int(index) >= gpu_count]
    if missing:
        raise DeviceUnavailable(
            f"Device {asked} was asked for, but this host has {gpu_count} GPUs. Use auto or cpu"
            + (f", or an index below {gpu_count}." if gpu_count else ".")
        )
    return asked


def use_all_cores() -> None:
    """Give torch every core, or as many as `OMP_NUM_THREADS` says; Ultralytics leaves one out on the CPU."""
    import torch

    torch.set_num_threads(int(_ASKED_THREADS) if _ASKED_THREADS.isdigit() else os.cpu_count() or 1)


@contextmanager
def device_lock(
    settings: Settings, device: str, on_wait: Callable[[], None], may_wait: Callable[[], None]
) -> Iterator[None]:
    """Hold each GPU of the device, or the CPU, for this process alone.

    The operating system frees the lock when the process ends, however it ends.

    Args:
        settings: Say where the lock files lie.
        device: As `resolve_device` returned it.
        on_wait: Called once if another process holds the device.
        may_wait: Called again and again while it does; raises to give up.
    """
    with ExitStack() as held:
        for lock in _locks(settings, device):
            _acquire(lock, on_wait, may_wait)
            held.callback(lock.release)
        yield


@contextmanager
def free_device_lock(settings: Settings, device: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the device only if it is free now, or gets free soon.

    Raises:
        Timeout: If another process holds it.
    """
    with ExitStack() as held:
        for lock in _locks(settings, device):
            held.enter_context(lock.acquire(timeout=wait_s))
        yield


def _locks(settings: Settings, device: str) -> list[FileLock]:
    folder = settings.data_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    # Always in the same order, so that 0,1 and 1,0 cannot wait for each other.
    return [FileLock(folder / f"device-{name}.lock") for name in sorted(device.split(","))]


def _acquire(lock: FileLock, on_wait: Callable[[], None], may_wait: Callable[[], None]) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        on_wait()
        while not lock.is_locked:
            may_wait()
            with suppress(Timeout):
                lock.acquire(timeout=_LOCK_WAIT_S, poll_interval=_LOCK_POLL_S)
