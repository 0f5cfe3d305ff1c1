"""Compares two checkpoints for a door; what is missing is scored by `python -m core.jobs.comparing`.

A door must not load torch. The process takes the device if no run has it, and else the CPU: whoever looks
at two checkpoints is not to wait for the end of a training.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from filelock import Timeout

from core.config import CHECKOUT
from core.errors import SeparateWorkFailed, TmsError, restore_error
from core.registry import judging
from core.registry.verdicts import Judgement
from core.schemas import Promotion
from core.store import Store
from core.training import isolation
from core.training.device import free_device_lock, resolve_device

_LINES_TOLD = 5


def compare(
    store: Store,
    baseline_id: str,
    candidate_id: str,
    *,
    promotion: Promotion = "manual",
    say: Callable[[str], None] = lambda _: None,
) -> Judgement:
    """Compare any two checkpoints on today's base test set and holdout; torch is not loaded here.

    Args:
        store: Where both are.
        baseline_id: The one that stands for the old.
        candidate_id: The one that is judged.
        promotion: The policy that says whether the candidate would be published.
        say: Told what is being done; may raise to stop.

    Raises:
        NotFound: If there is no such checkpoint.
        SeparateWorkFailed: If the process that scores ended without having done so.
        TmsError: What `core.registry.judging.compare` raises.
    """
    if not judging.is_scored(store, baseline_id, candidate_id):
        _score_apart(store, baseline_id, candidate_id, say)
    return judging.compare(store, baseline_id, candidate_id, device=None, promotion=promotion, say=say)


def _score_apart(store: Store, baseline_id: str, candidate_id: str, say: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", __name__, baseline_id, candidate_id]
    environment = {**os.environ, **store.settings.environment()}
    with subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            error, last_lines = _listen(process.stdout or [], say)
        except BaseException:
            process.kill()
            raise
    if error is not None:
        raise restore_error(error)
    if process.returncode != 0:
        said = " | ".join(last_lines) or "nothing"
        raise SeparateWorkFailed(
            f"The process that scores ended with exit status {process.returncode}. It said: {said}"
        )


def _listen(
    lines: "Iterator[str] | Any", say: Callable[[str], None]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Pass on what the process tells; gives its error, if it told of one, and its last other lines."""
    error: dict[str, Any] | None = None
    others: list[str] = []
    for line in lines:
        told = _told(line)
        if "say" in told:
            say(told["say"])
        elif "error" in told:
            error = told["error"]
        elif line.strip():
            others.append(line.strip())
    return error, others[-_LINES_TOLD:]


def _told(line: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def main() -> int:
    """Score what is missing, telling of each step in a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("baseline_id")
    parser.add_argument("candidate_id")
    asked = parser.parse_args()
    with Store.open() as store, ExitStack() as held:
        isolation.isolate(store.settings)
        try:
            device = _free_device(store, held)
            judging.compare(store, asked.baseline_id, asked.candidate_id, device=device, say=_tell)
        except TmsError as error:
            print(json.dumps({"error": error.as_dict()}), flush=True)  # noqa: T201 - to the door
            return 1
    return 0


def _free_device(store: Store, held: ExitStack) -> str:
    device = resolve_device(store.settings.device).split(",", maxsplit=1)[0]
    try:
        held.enter_context(free_device_lock(store.settings, device))
    except Timeout:
        return "cpu"
    return device


def _tell(step: str) -> None:
    print(json.dumps({"say": step}), flush=True)  # noqa: T201 - to the door


if __name__ == "__main__":
    sys.exit(main())
