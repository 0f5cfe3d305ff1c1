"""`python -m core tidy`: remove what is kept no longer."""

import argparse
from typing import Any

from core.cli.screen import console
from core.registry import retention
from core.store import Store


def add_command(commands: Any) -> None:
    """Add it to the commands of a parser."""
    parser = commands.add_parser("tidy", help="remove run folders and candidates beyond what is to be kept")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")
    parser.set_defaults(command=_tidy)


def _tidy(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        found = retention.surplus(store) if asked.dry_run else retention.tidy(store)
    for one in found:
        print(one.kind, one.id, one.size_bytes, sep="\t")
    megabytes = sum(one.size_bytes for one in found) / 1e6
    console.print(f"{megabytes:.1f} MB {'would be freed' if asked.dry_run else 'were freed'}.")
