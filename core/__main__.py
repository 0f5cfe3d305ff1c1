"""Command line: `python -m core COMMAND`; `python -m core --help` lists all."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from core import FineTuneRequest, FineTuneSummary, run_finetune, trainer
from core.cli import diagnostics, exchange, provenance, registry, tidy
from core.cli.screen import Bar, console
from core.errors import InvalidRequest, TmsError
from core.store import Store, keys


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
    console.print(Text.assemble((code, "red"), " ", detail), soft_wrap=True)


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
    exchange.add_commands(commands)
    provenance.add_command(commands)
    registry.add_commands(commands)
    tidy.add_command(commands)
    diagnostics.add_command(commands)
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
    with Store.open() as store, Bar() as bar:
        trainer.adopt(store, bar.say)


def _finetune(asked: argparse.Namespace) -> None:
    request = _read_payload(asked.payload)
    with Bar() as bar:
        summary = run_finetune(request, on_progress=bar.report)
    console.print(_outcome(summary))
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


def _create_key(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        print(keys.create_key(store, asked.name, asked.scope))
    console.print("Keep it now: only its hash is stored.")


def _list_keys(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        for key in keys.list_keys(store):
            state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "active"
            print(f"{key.name}\t{key.scope}\t{key.created_at:%Y-%m-%d}\t{state}")


def _revoke_key(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        keys.revoke_key(store, asked.name)


if __name__ == "__main__":
    sys.exit(main())
