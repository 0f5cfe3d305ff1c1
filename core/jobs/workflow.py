"""The durable way of one run: the stages of core.trainer, each finished once, whatever dies in between."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from dbos import DBOS

from core import trainer
from core.config import CHECKOUT
from core.errors import RunnerDied, TmsError
from core.jobs.queue import WORKFLOW
from core.registry import publish
from core.store import Store, runs
from core.training.progress import reporter

_LOG_LINES_TOLD = 5


@lru_cache(maxsize=1)
def worker_store() -> Store:
    """The one store of this worker process."""
    return Store.open()


@DBOS.workflow(name=WORKFLOW)
def finetune(run_id: str) -> None:
    """Walk a run through its stages; a stage that fails writes why into the run and ends it."""
    runs.resume_interrupted(worker_store(), run_id)
    for stage in (_adopt, _prepare, _learn_and_judge, _settle):
        if not stage(run_id):
            return


@DBOS.step()
def _adopt(run_id: str) -> bool:
    if publish.champion(worker_store()) is not None:
        return True
    return _in_runner(run_id, "adopt")


@DBOS.step()
def _prepare(run_id: str) -> bool:
    store = worker_store()
    return _stage(run_id, lambda: trainer.prepare(store, run_id, reporter(store, run_id)))


@DBOS.step()
def _learn_and_judge(run_id: str) -> bool:
    return _in_runner(run_id, "learn", "judge")


@DBOS.step()
def _settle(run_id: str) -> bool:
    return _stage(run_id, lambda: trainer.settle(worker_store(), run_id))


def _stage(run_id: str, work: Callable[[], object]) -> bool:
    try:
        with trainer.attempt(worker_store(), run_id):
            work()
    except Exception:  # noqa: BLE001 - `attempt` has written it into the run
        return False
    return True


def _in_runner(run_id: str, *stages: str) -> bool:
    """Do stages that need torch in a process of their own; they log, and write failures, by themselves."""
    store = worker_store()
    with store.settings.log_path(run_id).open("ab") as log:
        runner = subprocess.Popen(
            [sys.executable, "-m", "core.jobs.runner", run_id, *stages],
            cwd=CHECKOUT,
            env={**os.environ, **store.settings.environment()},
            # The runner ends when this pipe closes: it must not outlive the worker that would start it again.
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        exit_status = runner.wait()
    if exit_status != 0:
        _record_death(store, run_id, exit_status)
    return exit_status == 0


def _record_death(store: Store, run_id: str, exit_status: int) -> None:
    last_lines = _tail(store.settings.log_path(run_id))
    cause = f"signal {-exit_status}" if exit_status < 0 else f"exit status {exit_status}"
    error: TmsError = RunnerDied(
        f"The training process ended with {cause}. Start the run again; if it was killed for want of memory, "
        "use a smaller batch_size or image_size.",
        exit_status=exit_status,
        last_log_lines=last_lines,
    )
    # No effect if the runner could still write why.
    runs.fail(store, run_id, error.as_dict())


def _tail(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES_TOLD:]
