"""What went wrong in a run, in plain words, with what to try."""

import errno
from pathlib import Path
from subprocess import CalledProcessError

from sqlalchemy.exc import SQLAlchemyError

from core.errors import DatabaseUnavailable, DiskFull, OutOfMemory, RunnerDied, TmsError, TrainingFailed

LOG_LINES_TOLD = 10
_TAIL_BYTES = 16_384
_KILLED = -9
# How torch and the operating system say it: CUDA, cuBLAS, the CPU's allocator.
_OUT_OF_MEMORY = (
    "out of memory",
    "cublas_status_alloc_failed",
    "can't allocate memory",
    "not enough memory",
    "cannot allocate memory",
    "unable to allocate",
)
_OUT_OF_SPACE = ("no space left on device", "disk quota exceeded")
TRY: dict[str, tuple[str, ...]] = {
    "out_of_memory": (
        "Retry with half the batch_size, or a smaller image_size.",
        "Look for other programs that use the device, and end them.",
    ),
    "disk_full": (
        "Free space under TMS_HOME, on the disk of the database, or in the temporary folder.",
        "Then retry the run: it goes on from its last epoch.",
    ),
    "resume_state_damaged": ("Retry the run from its start: POST /api/runs/{run_id}/retry?from_start=true.",),
    "checkpoint_damaged": (
        "Restore the file from a backup, or roll back to another checkpoint.",
        "Then retry the run.",
    ),
    "publish_failed": (
        "Look at the disk of TMS_HOME, and at what the detail says.",
        "If libraries were changed while the run went on, restart the worker, then retry the run.",
    ),
    "baseline_unreadable": ("Set TMS_PRETRAINED_WEIGHTS to weights of a YOLO detection model.",),
    "baseline_missing": ("Set TMS_PRETRAINED_WEIGHTS to the detector's weights, then retry the run.",),
    "runner_died": (
        "Retry the run: it goes on from its last epoch.",
        "If the system killed it for want of memory, use a smaller batch_size or image_size.",
    ),
    "training_failed": (
        "Read the last lines of the log.",
        "If the loss stopped being a number, lower the learning_rate.",
    ),
    "blob_store_unavailable": ("See that the store of TMS_BLOB_URL answers, then retry the run.",),
    "blob_damaged": ("Restore the file from a backup, or post the image again, then retry the run.",),
    "database_unavailable": ("Start the database again, then retry the run.",),
}


def explained(error: BaseException, log: Path) -> TmsError:
    """The error as it is kept with a failed run.

    Args:
        error: What was raised.
        log: The run's.

    Returns:
        With `exception` (class name), `last_log_lines` and `try` among its extra members.
    """
    named = error if isinstance(error, TmsError) else _named(error)
    named.extra.setdefault("exception", type(error).__name__)
    named.extra.setdefault("last_log_lines", last_lines(log))
    to_try = TRY.get(named.code, ("Read the run's log, then retry the run.",))
    named.extra.setdefault("try", [text.format(run_id=log.stem) for text in to_try])
    return named


def _named(error: BaseException) -> TmsError:
    words = f"{type(error).__name__}: {error}"
    said = words.lower()
    if isinstance(error, MemoryError) or any(sign in said for sign in _OUT_OF_MEMORY):
        return OutOfMemory(f"A batch did not fit into memory. {words}")
    is_full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if is_full or any(sign in said for sign in _OUT_OF_SPACE) or "database or disk is full" in said:
        return DiskFull(f"There was no space left. {words}")
    if isinstance(error, SQLAlchemyError):
        return DatabaseUnavailable(f"The database did not answer for too long. {type(error).__name__}.")
    if isinstance(error, RuntimeError | ValueError | AssertionError | CalledProcessError):
        return TrainingFailed(f"Training stopped with {words}")
    return TmsError(f"{words}. The run's log has the whole story.")


def runner_died(exit_status: int, log: Path) -> RunnerDied:
    """The error for a runner that ended without an outcome.

    Args:
        exit_status: Negative is the signal that ended it.
        log: The run's.
    """
    if exit_status == _KILLED:
        how = "was killed by the system or by hand (signal 9); systems do so when memory runs out"
    elif exit_status < 0:
        how = f"was ended by signal {-exit_status}"
    else:
        how = f"ended by itself with exit status {exit_status}"
    error = RunnerDied(f"The training process {how}.", exit_status=exit_status)
    explained(error, log)
    return error


def last_lines(log: Path, most: int = LOG_LINES_TOLD) -> list[str]:
    """The newest lines of a log, without reading more than its end; none if there is no log."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return (lines[1:] if size > _TAIL_BYTES else lines)[-most:]
