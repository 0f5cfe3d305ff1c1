"""`python -m core provenance`: what a checkpoint learned, and which checkpoints have seen an image."""

import argparse
from collections.abc import Iterator
from itertools import chain, count, takewhile
from pathlib import Path
from typing import Any

from core.cli.screen import console
from core.errors import NotFound
from core.registry import provenance
from core.registry.provenance import LearnedSample
from core.store import Store
from core.store.blobs import file_sha256

_PAGE = 1_000


def add_command(commands: Any) -> None:
    """Add it to the commands of a parser."""
    parser = commands.add_parser("provenance", help="what a checkpoint learned, or which have seen an image")
    parser.add_argument("of", metavar="CHECKPOINT|IMAGE_FILE", help="id of a checkpoint, or an image file")
    parser.set_defaults(command=_answer)


def _answer(asked: argparse.Namespace) -> None:
    path = Path(asked.of)
    with Store.open() as store:
        lines = list(_seen(store, path) if path.is_file() else _learned(store, asked.of))
    for line in lines:
        print(*line, sep="\t")
    if not lines:
        console.print("There is none.")


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
