"""`python -m core diagnostics`: the bundle for whoever is asked to help."""

import argparse
from pathlib import Path
from typing import Any

from core.cli.screen import console
from core.errors import InvalidRequest
from core.jobs import diagnostics
from core.store import Store


def add_command(commands: Any) -> None:
    """Add it to the commands of a parser."""
    parser = commands.add_parser("diagnostics", help="write a zip with what whoever helps needs to know")
    parser.add_argument("file", type=Path, nargs="?", help="where to; a name with the time if left out")
    parser.set_defaults(command=_write)


def _write(asked: argparse.Namespace) -> None:
    path = asked.file or Path(diagnostics.file_name())
    with Store.open() as store:
        content = diagnostics.bundle(store)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}. Name another file.") from error
    print(path)
    console.print("It holds no keys, no passwords and no images; look through it before you send it.")
