"""A worker's runners: the one that works, and a warm spare that waits for the next run."""

import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict

import psutil

from core.config import CHECKOUT, MIB, Settings
from core.store.claims import Claim

MOST_SPARE_BYTES = 3072 * MIB
_END_WAIT_S = 10.0

log = logging.getLogger(__name__)


class Crew:
    """Starts runners and hands them runs, one at a time."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings that runners work under; none is started yet."""
        self._settings = settings
        self._spare: subprocess.Popen[bytes] | None = None
        self._may_have_spare = settings.warm_runner

    def keep_spare(self) -> None:
        """See to it that a fit warm spare waits.

        One that died or grew too large is not followed by another before the next run: it would end the same.
        """
        if self._spare is not None and not _is_fit(self._spare):
            log.warning("The spare runner died or took over %d MiB: none is kept.", MOST_SPARE_BYTES // MIB)
            self.dismiss_spare()
            self._may_have_spare = False
        if self._spare is None and self._may_have_spare:
            self._spare = self._start("--warm")

    def hand_over(self, claim: Claim) -> subprocess.Popen[bytes]:
        """Give a run to the spare, or to a runner that is started for it."""
        spare, self._spare = self._spare, None
        self._may_have_spare = self._settings.warm_runner
        if spare is not None:
            with suppress(OSError):
                _write_line(spare, claim)
                return spare
            # Its pipe is broken: it has died.
            end(spare)
        runner = self._start()
        # If it has died already, whoever waits for its end learns of it.
        with suppress(OSError):
            _write_line(runner, claim)
        return runner

    def dismiss_spare(self) -> None:
        """End the spare."""
        spare, self._spare = self._spare, None
        if spare is not None:
            end(spare)

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        return start(self._settings, "core.jobs.runner", *options)


def start(settings: Settings, module: str, *options: str) -> subprocess.Popen[bytes]:
    """Start a process of the worker's: it ends when its pipe closes, and writes to the worker's log."""
    with (settings.logs_dir / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module, *options],
            cwd=CHECKOUT,
            env={**os.environ, **settings.environment()},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )


def end(runner: subprocess.Popen[bytes]) -> None:
    """Kill a runner and all that it started, and wait until they are gone: the device is free then."""
    family = _children_of(runner)
    runner.kill()
    for process in family:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(family, timeout=_END_WAIT_S)
    runner.wait()
    if runner.stdin is not None:
        with suppress(OSError):
            runner.stdin.close()


def _children_of(runner: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(runner.pid).children(recursive=True)
    except psutil.Error:
        return []


def _write_line(runner: subprocess.Popen[bytes], claim: Claim) -> None:
    if runner.stdin is None:
        raise OSError("the runner was started without a pipe")
    runner.stdin.write(json.dumps(asdict(claim)).encode() + b"\n")
    runner.stdin.flush()


def _is_fit(spare: subprocess.Popen[bytes]) -> bool:
    if spare.poll() is not None:
        return False
    with suppress(psutil.Error):
        return int(psutil.Process(spare.pid).memory_info().rss) <= MOST_SPARE_BYTES
    return False
