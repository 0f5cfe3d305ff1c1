"""`python -m core compare`, `promote`, `rollback`, `report` and `export-onnx`."""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from core.cli.screen import console
from core.errors import InvalidRequest, disk_full_named
from core.evaluation.comparison import Changes, Comparison
from core.evaluation.intervals import Change
from core.jobs import comparing
from core.registry import comparisons, onnx_exports, promotion
from core.registry.ledger import PublishedModel
from core.registry.report import render
from core.store import Store

_ACTOR = "local"
_LIVE_HELP = "what is live, as you saw it; if it is not any more, nothing happens"


def add_commands(commands: Any) -> None:
    """Add them to the commands of a parser."""
    compare = commands.add_parser("compare", help="hold two checkpoints against each other on today's sets")
    compare.add_argument("old", help="id of a checkpoint")
    compare.add_argument("new", help="id of another")
    compare.set_defaults(command=_compare)
    _add_promote(commands.add_parser("promote", help="make a checkpoint the champion"))
    _add_roll_back(commands.add_parser("rollback", help="make an earlier champion the champion again"))
    report = commands.add_parser("report", help="write a run's report as one HTML file")
    report.add_argument("run", help="id of the run")
    report.add_argument("out", type=Path, help="file to write; it must not exist")
    report.set_defaults(command=_report)
    export = commands.add_parser("export-onnx", help="write a checkpoint as ONNX")
    export.add_argument("checkpoint", help="id of the checkpoint")
    export.add_argument("out", type=Path, help="file to write; it must not exist")
    export.add_argument("--image-size", type=int, help="side of the square it takes, in pixels")
    export.set_defaults(command=_export_onnx)


def _add_promote(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="id of the checkpoint")
    _add_expected_and_reason(parser)
    parser.add_argument(
        "--override",
        metavar="WORD",
        help=f"the word {promotion.OVERRIDE_WORD}, to publish what was judged worse or was not judged",
    )
    parser.set_defaults(command=_promote)


def _add_roll_back(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="CHECKPOINT", help="an earlier champion; the one before, if left out")
    _add_expected_and_reason(parser)
    parser.set_defaults(command=_roll_back)


def _add_expected_and_reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--instead-of", metavar="CHECKPOINT", required=True, help=_LIVE_HELP)
    parser.add_argument("--reason", required=True, help="why, for the ledger")


def _compare(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        judged = comparing.compare(
            store, asked.old, asked.new, say=lambda step: console.print(step, highlight=False)
        )
        compared = [comparisons.changes_of(row) for row in judged.comparisons]
    for one in compared:
        console.print(_drawn(one))
        for name, change in _changes(one):
            print(one.set_name, name, change.old, change.new, change.low_95, change.high_95, sep="\t")
    console.print(f"{judged.decision.verdict}: {judged.decision.reason}", highlight=False)


def _changes(compared: Comparison) -> Iterator[tuple[str, Change]]:
    """The changes that are known, overall and of each class."""
    named = [(name, getattr(compared.overall, name)) for name in Changes.model_fields]
    named += [(f"ap50_95 {one.class_name}", one.ap50_95) for one in compared.per_class]
    return ((name, change) for name, change in named if change.delta is not None)


def _drawn(compared: Comparison) -> Table:
    title = f"{compared.set_name}: {compared.image_count} images, {compared.group_count} groups, points"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("old", "new", "change", "95 % interval"):
        table.add_column(heading, justify="right")
    for name, change in _changes(compared):
        values = (_points(change.old), _points(change.new), _points(change.delta, "+"))
        table.add_row(name, *values, f"{_points(change.low_95, '+')} to {_points(change.high_95, '+')}")
    return table


def _points(share: float | None, sign: str = "") -> str:
    return "–" if share is None else f"{100 * share:{sign}.1f}"


def _promote(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        model = promotion.promote(
            store,
            asked.checkpoint,
            expected_champion_id=asked.instead_of,
            actor=_ACTOR,
            reason=asked.reason,
            override=asked.override,
        )
    _tell(model)


def _roll_back(asked: argparse.Namespace) -> None:
    with Store.open() as store:
        model = promotion.roll_back(
            store, expected_champion_id=asked.instead_of, actor=_ACTOR, reason=asked.reason, to=asked.to
        )
    _tell(model)


def _tell(model: PublishedModel) -> None:
    console.print(f"{model.id} is live.")
    print(model.model_dump_json(indent=2))


def _report(asked: argparse.Namespace) -> None:
    _refuse_existing(asked.out)
    with Store.open() as store:
        page = render(store, asked.run)
    with disk_full_named("the report"):
        asked.out.write_text(page, encoding="utf-8")
    console.print(f"{asked.out} is written.")


def _export_onnx(asked: argparse.Namespace) -> None:
    _refuse_existing(asked.out)
    if asked.image_size is not None and (asked.image_size < 32 or asked.image_size % 32):
        raise InvalidRequest(f"An image size of {asked.image_size} px is no multiple of 32.")
    with Store.open() as store:
        made = onnx_exports.export(store, asked.checkpoint, asked.image_size)
        with disk_full_named("the ONNX export"):
            shutil.copyfile(onnx_exports.path_of(store, asked.checkpoint, made.image_size), asked.out)
    console.print(f"{asked.out} is written.")
    print(made.model_dump_json(indent=2))


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise InvalidRequest(f"{path} exists already. Name another file.")
