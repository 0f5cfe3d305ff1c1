"""Work with torch in a process of its own: `python -m core.registry.separate`.

A door must not load torch, and whoever wrote weights is no witness that others can load them. The process
gets JSON, function and arguments, and answers with JSON. It computes on the CPU, so that it takes no memory
from a run on the GPU.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.config import CHECKOUT, Settings, get_settings
from core.errors import SeparateWorkFailed
from core.registry.parity import Seen
from core.training.isolation import isolate

_LONGEST_S = 600.0
_LINES_TOLD = 5


def see(
    settings: Settings, weights: Path, images: Sequence[Path], *, image_size: int, confidence: float
) -> list[list[Seen]]:
    """What `core.registry.export.see` gives, in another process.

    Raises:
        SeparateWorkFailed: If it could not load the weights, or ended without an answer.
    """
    answer: list[list[Seen]] = _ask(
        settings, "see", str(weights), list(map(str, images)), image_size, confidence
    )
    return answer


def export_onnx(
    settings: Settings,
    weights: Path,
    target: Path,
    *,
    image_size: int,
    images: Sequence[Path],
    confidence: float,
) -> tuple[list[list[Seen]], list[list[Seen]]]:
    """What `core.registry.export.export_onnx` does and gives, in another process; raises as `see` does."""
    paths = list(map(str, images))
    as_torch, as_onnx = _ask(
        settings, "export_onnx", str(weights), str(target), image_size, paths, confidence
    )
    return as_torch, as_onnx


def _ask(settings: Settings, function: str, *arguments: Any) -> Any:
    environment = {**os.environ, **settings.environment(), "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            cwd=CHECKOUT,
            env=environment,
            input=json.dumps([function, *arguments]),
            capture_output=True,
            encoding="utf-8",
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        raise SeparateWorkFailed(f"A process apart gave no answer within {_LONGEST_S:g} s.") from error
    if done.returncode != 0:
        raise SeparateWorkFailed(_what_it_said(done))
    return json.loads(done.stdout)


def _what_it_said(done: "subprocess.CompletedProcess[str]") -> str:
    lines = done.stderr.strip().splitlines()[-_LINES_TOLD:]
    return f"A process apart ended with exit status {done.returncode}. It said: {' | '.join(lines)}"


def main() -> None:
    """Answer one question."""
    # Libraries print, and are not to spoil the answer.
    answer_to = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    function, *arguments = json.load(sys.stdin)
    isolate(get_settings().create_folders())
    from core.registry import export

    functions: dict[str, Callable[..., Any]] = {"see": export.see, "export_onnx": export.export_onnx}
    answer = functions[function](*arguments)
    with answer_to:
        json.dump(answer, answer_to)


if __name__ == "__main__":
    main()
