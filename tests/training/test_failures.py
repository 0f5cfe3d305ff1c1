"""What went wrong, in plain words: each told from the real error that the library or the system raises."""

import errno
import os
from subprocess import CalledProcessError

import pytest
import torch
from sqlalchemy.exc import OperationalError

from core.errors import CheckpointDamaged
from core.training.failures import TRY, explained, last_lines, runner_died


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "run-1.log"
    path.write_text("".join(f"line {number}\n" for number in range(50)))
    return path


def raised(work):
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        work()
    return caught.value


def test_torch_without_memory(log):
    named = explained(raised(lambda: torch.empty(2**50)), log)
    assert (named.code, named.extra["exception"]) == ("out_of_memory", "RuntimeError")
    assert "batch_size" in " ".join(named.extra["try"])
    assert named.extra["last_log_lines"] == [f"line {number}" for number in range(40, 50)]


def test_a_gpu_without_memory(log):
    assert explained(
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), log
    ).code == ("out_of_memory")


def test_python_without_memory(log):
    assert explained(raised(lambda: bytearray(2**62)), log).code == "out_of_memory"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device that is always full is Linux's")  # noqa: PTH110
def test_a_full_disk(log):
    def write():
        with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
            full.write(b"x")

    error = raised(write)
    assert error.errno == errno.ENOSPC
    assert explained(error, log).code == "disk_full"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError("PytorchStreamWriter failed: No space left on device"), "disk_full"),
        (OperationalError("UPDATE run", {}, Exception("database or disk is full")), "disk_full"),
        (OperationalError("UPDATE run", {}, Exception("connection refused")), "database_unavailable"),
        (ValueError("a shape"), "training_failed"),
        (CalledProcessError(1, "torch.distributed.run"), "training_failed"),
        (CheckpointDamaged("it is gone"), "checkpoint_damaged"),
        (KeyError("nobody foresaw it"), "internal_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_kind_has_its_code_and_something_to_try(log, error, code):
    named = explained(error, log)
    assert named.code == code
    assert named.extra["try"]
    assert named.extra["exception"] == type(error).__name__


def test_advice_names_the_run(log):
    for code, texts in TRY.items():
        for text in texts:
            assert "{" not in text.format(run_id="run-1"), code


@pytest.mark.parametrize(
    ("status", "words"), [(-9, "signal 9"), (-11, "ended by signal 11"), (1, "exit status 1")]
)
def test_how_a_runner_died(log, status, words):
    error = runner_died(status, log)
    assert words in error.detail
    assert error.extra["exit_status"] == status
    assert error.extra["last_log_lines"]


def test_the_end_of_a_long_log_is_whole_lines(tmp_path):
    log = tmp_path / "long.log"
    log.write_text("".join(f"{number:06} {'x' * 100}\n" for number in range(10_000)))
    assert [line[:6] for line in last_lines(log, 3)] == ["009997", "009998", "009999"]
    assert last_lines(tmp_path / "none.log") == []
