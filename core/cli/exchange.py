"""`python -m core import` and `export`: labelled images in and out."""

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from core.cli.screen import Bar, console
from core.errors import InvalidRequest, disk_full_named
from core.feedback.exports import ExportFormat, Selection
from core.feedback.imports.inspection import ImportReport
from core.jobs import exchange
from core.schemas import ImportFormat, ImportOptions
from core.store import Store

_ACTOR = "local"


def add_commands(commands: Any) -> None:
    """Add both to the commands of a parser."""
    _add_import(commands.add_parser("import", help="take labelled images in as a feedback batch"))
    _add_export(commands.add_parser("export", help="write samples with their newest boxes to a file"))


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="a zip, or images and label files"
    )
    parser.add_argument("--format", choices=get_args(ImportFormat), help="recognised if left out")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NAME=LIVE",
        help="NAME stands for LIVE; NAME= is left out",
    )
    parser.add_argument(
        "--trusted", action="store_true", help="approve what passes intake without a look at it"
    )
    parser.add_argument("--note", help="a remark kept with the batch")
    parser.add_argument("--dry-run", action="store_true", help="say what is in it, and take nothing")
    parser.set_defaults(command=_import)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write; it must not exist")
    parser.add_argument("--format", choices=get_args(ExportFormat), required=True)
    parser.add_argument("--batch", help="only of this batch")
    parser.add_argument(
        "--status",
        action="append",
        choices=("pending", "approved", "rejected"),
        help="pending and approved if left out",
    )
    parser.add_argument("--class", dest="class_name", metavar="NAME", help="only with a box of this class")
    parser.add_argument(
        "--sample", action="append", default=[], metavar="ID", help="these samples, whatever else"
    )
    parser.add_argument("--no-images", action="store_true", help="COCO as JSON alone")
    parser.set_defaults(command=_export)


def _import(asked: argparse.Namespace) -> None:
    options = _options(asked)
    with ExitStack() as stack:
        files = [(path.name, stack.enter_context(_opened(path))) for path in asked.files]
        store, bar = stack.enter_context(Store.open()), stack.enter_context(Bar())
        report = exchange.import_batch(store, files, options, actor=_ACTOR, on_progress=bar.draw)
    _show(report)
    print(report.model_dump_json(indent=2))


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error


def _options(asked: argparse.Namespace) -> ImportOptions:
    try:
        return ImportOptions(
            mapping=dict(map(_pair, asked.map)),
            format=asked.format,
            trusted=asked.trusted,
            note=asked.note,
            dry_run=asked.dry_run,
        )
    except ValidationError as error:
        raise InvalidRequest(f"The import cannot be asked for like this: {error}") from error


def _pair(text: str) -> tuple[str, str | None]:
    name, equals, live_name = text.rpartition("=")
    if not equals:
        raise InvalidRequest(f"--map {text} lacks a sign: write NAME=LIVE, or NAME= to leave its boxes out.")
    return name, live_name or None


def _show(report: ImportReport) -> None:
    table = Table(
        title=f"{report.images} images, {report.boxes} boxes ({report.format})", title_justify="left"
    )
    for heading in ("class", "boxes", "stands for", "because"):
        table.add_column(heading, justify="right" if heading == "boxes" else "left")
    for one in report.classes:
        table.add_row(Text(one.name), str(one.boxes), Text(one.live_name or "left out"), one.why)
    console.print(table)
    for problem in report.problems:
        where = ", ".join(filter(None, (problem.file, problem.place)))
        console.print(Text(f"{where}: {problem.detail} {problem.repair}".strip()), soft_wrap=True)


def _export(asked: argparse.Namespace) -> None:
    if asked.out.exists():
        raise InvalidRequest(f"{asked.out} exists already. Name another file.")
    statuses = tuple(asked.status or Selection.statuses)
    selection = Selection(tuple(asked.sample), asked.batch, statuses)
    with Store.open() as store:
        made = exchange.export_samples(
            store, selection, asked.format, class_name=asked.class_name, with_images=not asked.no_images
        )
        _write(made.chunks, asked.out)
    console.print(f"{asked.out} has {asked.out.stat().st_size} bytes.")


def _write(chunks: Iterator[bytes], path: Path) -> None:
    """Write the file whole or not at all."""
    partial = path.with_name(f"{path.name}.part")
    try:
        with disk_full_named("the export"), partial.open("wb") as file:
            file.writelines(chunks)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
