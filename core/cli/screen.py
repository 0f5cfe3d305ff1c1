"""What commands draw on the terminal, which goes to the error output: the other one is for results."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

console = Console(stderr=True)


class Bar:
    """Progress bars, one for each thing that is being done."""

    def __init__(self) -> None:
        """Draw nothing yet; use it in a `with` block."""
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, kind: str, payload: dict[str, Any]) -> None:
        """Draw an event of a run, of the kinds `phase`, `batch` and `epoch`."""
        if kind == "phase":
            self.draw(payload["phase"], payload["done"], payload["total"])
        elif kind == "batch":
            losses = " ".join(f"{name} {value:.3f}" for name, value in payload["loss"].items())
            self.draw("Training", payload["step"], payload["steps"], losses)
        elif kind == "epoch":
            map50_95 = payload["metrics"]["metrics/mAP50-95(B)"]
            self._progress.print(
                f"epoch {payload['epoch']}/{payload['epochs']}: tune mAP50-95 {map50_95:.3f}"
            )

    def say(self, phase: str, share: float) -> None:
        """Draw what is being done, and how much of it is done, from 0 to 1."""
        self.draw(phase, round(100 * share), 100)

    def draw(self, name: str, done: int, total: int, remark: str = "") -> None:
        """Draw how many of how many are done; no total is an end that is not known."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name)
        text = f"{name} {remark}".strip()
        self._progress.update(self._tasks[name], completed=done, total=total or None, description=text)
