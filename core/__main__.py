"""Command line: `python -m core prepare | finetune PAYLOAD | provenance OF | keys …`."""

import argparse
import sys
from collections.abc import Iterator
from itertools import chain, count, takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from core import FineTuneRequest, FineTuneSummary, run_finetune, trainer
from core.errors import InvalidRequest, NotFound, TmsError
from core.registry import provenance
from core.registry.provenance import LearnedSample
from core.store import Store, keys
from core.store.blobs import file_sha256

_PAGE = 1_000
_console = Console(stderr=True)


def main() -> int:
    """Run a command; status 1 after an error, which is told in one sentence, and 2 for a wrong call."""
    asked = _parser().parse_args()
    try:
        asked.command(asked)
    except TmsError as error:
        _tell(error.code, error.detail)
        return 1
    return 0


def _tell(code: str, detail: str) -> None:
    _console.print(Text.assemble((code, "red"), " ", detail), soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m core", description="Fine-tune loop of a thermal-fault detector."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    prepare = commands.add_parser("prepare", help="adopt the baseline; make the demo's if none is configured")
    prepare.set_defaults(command=_prepare)
    finetune = commands.add_parser("finetune", help="fine-tune here and now, without a server")
    finetune.add_argument("payload", type=Path, help="JSON file, the body of POST /api/finetune")
    finetune.set_defaults(command=_finetune)
    origin = commands.add_parser("provenance", help="what a checkpoint learned, or which have seen an image")
    origin.add_argument("of", metavar="CHECKPOINT|IMAGE_FILE", help="id of a checkpoint, or an image file")
    origin.set_defaults(command=_provenance)
    _add_keys(commands.add_parser("keys", help="API keys").add_subparsers(required=True, metavar="ACTION"))
    return parser


def _add_keys(actions: Any) -> None:
    create = actions.add_parser("create", help="make a key; it is shown once")
    create.add_argument("name", help="whose it is")
    create.add_argument("--scope", choices=keys.SCOPES, default="feed")
    create.set_defaults(command=_create_key)
    actions.add_parser("list", help="all keys, without their secrets").set_defaults(command=_list_keys)
    revoke = actions.add_parser("revoke", help="end a key")
    revoke.add_argument("name")
    revoke.set_defaults(command=_revoke_key)


def _prepare(asked: argparse.Namespace) -> None:
    with Store.open() as store, _Bar() as bar:
        trainer.adopt(store, bar.say)


def _finetune(asked: argparse.Namespace) -> None:
    request = _read_payload(asked.payload)
    with _Bar() as bar:
        summary = run_finetune(request, on_progress=bar.report)
    _console.print(_outcome(summary))
    print(summary.model_dump_json(indent=2))


def _read_payload(path: Path) -> FineTuneRequest:
    try:
        return FineTuneRequest.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise InvalidRequest(f"{path} cannot be used: {error}") from error


def _outcome(summary: FineTuneSummary) -> Table:
    table = Table(title=f"{summary.verdict}: {summary.verdict_reason}", title_justify="left")
    for heading in ("on the base test set", "champion", "candidate"):
        table.add_column(heading, justify="left" if heading.startswith("on") else "right")
    for name, value in summary.metrics.items():
        table.add_row(name, f"{summary.champion_metrics[name]:.4f}", f"{value:.4f}")
    return table


def _provenance(asked: argparse.Namespace) -> None:
    path = Path(asked.of)
    with Store.open() as store:
        lines = list(_seen(store, path) if path.is_file() else _learned(store, asked.of))
    for line in lines:
        print(*line, sep="\t")
    if not lines:
        _console.print("There is none.")


def _seen(store: Store, image: Path) -> Iterator[tuple[str, ...]]:
    for one in provenance.saw_image(store, file_sha256(image)):
        live = "was live" if one.was_live else "never live"
        yield one.checkpoint_id, one.role, _through(one.seen_by, one.is_direct), live


def _learned(store: Store, checkpoint_id: str) -> Iterator[tuple[str, ...]]:
    if not checkpoint_id.startswith("ckpt-"):
        raise NotFound(f"{checkpoint_id} is neither a file nor the id of a checkpoint.")
    for one in _all_learned(store, checkpoint_id):
        boxes = f"boxes: {len(one.detections)}, version {one.correction_version} by {one.author}"
        yield one.sample_id, one.batch_id, one.role, boxes, _through(one.learned_by, one.is_direct)


def _all_learned(store: Store, checkpoint_id: str) -> Iterator[LearnedSample]:
    pages = (
        provenance.learned_from(store, checkpoint_id, limit=_PAGE, offset=offset)
        for offset in count(0, _PAGE)
    )
    return chain.from_iterable(takewhile(bool, pages))


def _through(checkpoint_id: str, is_direct: bool) -> str:
    return "directly" if is_direct else f"through {checkpoint_id}"


def _create_key(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        print(keys.create_key(store, asked.name, asked.scope))
    _console.print("Keep it now: only its hash is stored.")


def _list_keys(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        for key in keys.list_keys(store):
            state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "active"
            print(f"{key.name}\t{key.scope}\t{key.created_at:%Y-%m-%d}\t{state}")


def _revoke_key(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        keys.revoke_key(store, asked.name)


class _Bar:
    """A progress bar drawn from a run's events."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=_console
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, kind: str, payload: dict[str, Any]) -> None:
        """Draw an event of the kinds `phase`, `batch` and `epoch`."""
        if kind == "phase":
            self._draw(payload["phase"], payload["done"], payload["total"])
        elif kind == "batch":
            losses = " ".join(f"{name} {value:.3f}" for name, value in payload["loss"].items())
            self._draw("Training", payload["step"], payload["steps"], losses)
        elif kind == "epoch":
            map50_95 = payload["metrics"]["metrics/mAP50-95(B)"]
            self._progress.print(
                f"epoch {payload['epoch']}/{payload['epochs']}: tune mAP50-95 {map50_95:.3f}"
            )

    def say(self, phase: str, share: float) -> None:
        """Draw what is being done, and how much of it is done, from 0 to 1."""
        self._draw(phase, round(100 * share), 100)

    def _draw(self, name: str, done: int, total: int, remark: str = "") -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name)
        text = f"{name} {remark}".strip()
        self._progress.update(self._tasks[name], completed=done, total=total or None, description=text)


if __name__ == "__main__":
    sys.exit(main())
