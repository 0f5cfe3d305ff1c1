"""An inference service that loads the published weights again and again: `python -m bench.publish_readers`.

It loads until its input is closed, then prints as JSON what it has seen.
"""

import hashlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from core.config import CHECKOUT, Settings
from core.registry.published import CHAMPION, PUBLISHED_WEIGHTS
from tests.processes import clean_environment


def load_all_the_time(folder: Path, known: Sequence[str]) -> dict[str, Any]:
    """Load weights and manifest until the input is closed.

    Args:
        folder: Where both are.
        known: sha256 of all weights that may be published.
    """
    import torch
    from ultralytics.nn.tasks import DetectionModel

    torch.set_num_threads(1)
    closing = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), closing.set()), daemon=True).start()
    seen: dict[str, Any] = {"reads": 0, "sha256": [], "torn": [], "missing": []}
    print("ready", flush=True)
    while not closing.is_set():
        try:
            content, manifest = ((folder / name).read_bytes() for name in (PUBLISHED_WEIGHTS, CHAMPION))
            sha256 = hashlib.sha256(content).hexdigest()
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)
            is_whole = sha256 in known and json.loads(manifest)["sha256"] in known
            if not (is_whole and isinstance(loaded["model"], DetectionModel)):
                seen["torn"].append(sha256)
            seen["sha256"] = sorted({*seen["sha256"], sha256})
        except FileNotFoundError as error:
            seen["missing"].append(str(error))
        except Exception as error:  # noqa: BLE001 - whatever loading answers to a torn file
            seen["torn"].append(repr(error))
        seen["reads"] += 1
    return seen


@contextmanager
def reading(settings: Settings, known: Sequence[str], count: int) -> Iterator[list[dict[str, Any]]]:
    """So many readers while the block runs; what they saw is in the list when it has ended."""
    seen: list[dict[str, Any]] = []
    with ExitStack() as stack:
        readers = [stack.enter_context(_started(settings, known)) for _ in range(count)]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
        yield seen
        seen += [json.loads(reader.communicate()[0].splitlines()[-1]) for reader in readers]


def _started(settings: Settings, known: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(settings.weights_dir), *known],
        cwd=CHECKOUT,
        env={**clean_environment(), **settings.environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    """Load, and print what was seen."""
    folder, *known = sys.argv[1:]
    print(json.dumps(load_all_the_time(Path(folder), known)))


if __name__ == "__main__":
    main()
