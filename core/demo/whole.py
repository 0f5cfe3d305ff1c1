"""Folders that are there whole or not at all, whatever kills the writer."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL = "-partial-"


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a folder beside `target` to fill, which becomes `target` when the block ends well.

    Raises:
        FileExistsError: If something that this cannot have made is in the way.
    """
    if target.exists():
        _make_way(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}{_PARTIAL}", dir=target.parent))
    try:
        yield partial
        partial.chmod(0o755)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _make_way(target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
        return
    message = f"{target} is there but is not a finished demo folder. Move it away, then start again."
    raise FileExistsError(message)


def clear_partials(folder: Path) -> None:
    """Remove what killed writers left in `folder`; nobody else may be writing there."""
    for left in folder.glob(f".*{_PARTIAL}*"):
        shutil.rmtree(left)
