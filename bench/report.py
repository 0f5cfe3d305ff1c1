"""How every benchmark ends: a table for people, a line of JSON for programs, an exit status."""

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table


def conclude(
    bench: str, rows: Sequence[Mapping[str, object]], *, ok: bool, figures: Mapping[str, object]
) -> int:
    """Print a row a line with the keys as headings, then the JSON line.

    Args:
        bench: Its name.
        rows: All with the same keys; at least one.
        ok: Whether the numbers were reached.
        figures: Those of the JSON line.

    Returns:
        The exit status.
    """
    table = Table(title=bench)
    for heading in rows[0]:
        table.add_column(heading)
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)
    print(json.dumps({"bench": bench, "ok": ok, "figures": dict(figures)}))
    return 0 if ok else 1
