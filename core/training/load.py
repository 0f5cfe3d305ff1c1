"""How much of the machine a run takes, as its `load` events tell it."""

import time
from functools import lru_cache
from typing import Any

import psutil
import pynvml


class LoadMeter:
    """Measures this process with its children, the host's memory, and each GPU."""

    def __init__(self) -> None:
        """Start measuring."""
        self._me = psutil.Process()
        self._read_s, self._worked_s = time.monotonic(), self._work_of(self._family())

    def read(self) -> dict[str, Any]:
        """What happened since the last reading.

        Returns:
            `cpu_percent` (100 is one core), `memory_bytes`, `host_memory_percent`, and `gpus`: for each
            `load_percent`, `memory_bytes` and `memory_total_bytes`; empty without a GPU.
        """
        family, now_s = self._family(), time.monotonic()
        worked_s = self._work_of(family)
        # A child that ended takes its seconds with it: that is less than nothing only on paper.
        busy = max(0.0, worked_s - self._worked_s) / max(now_s - self._read_s, 1e-3)
        self._read_s, self._worked_s = now_s, worked_s
        return {
            "cpu_percent": round(100 * busy, 1),
            "memory_bytes": sum(map(_memory_of, family)),
            "host_memory_percent": psutil.virtual_memory().percent,
            "gpus": [_gpu(index) for index in range(_gpu_count())],
        }

    def _family(self) -> list[psutil.Process]:
        return [self._me, *self._me.children(recursive=True)]

    def _work_of(self, family: list[psutil.Process]) -> float:
        return sum(map(_seconds_of, family))


def _seconds_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


@lru_cache(maxsize=1)
def _gpu_count() -> int:
    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def _gpu(index: int) -> dict[str, int]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "load_percent": int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        "memory_bytes": int(memory.used),
        "memory_total_bytes": int(memory.total),
    }
