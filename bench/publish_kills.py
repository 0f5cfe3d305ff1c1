"""A publication that is killed with SIGKILL at each line it runs through: `python -m bench.publish_kills`.

Each is a process of its own, forked from this one, which has no threads. What it leaves is looked at twice:
at once, when readers have to find a whole file, and after others have looked, when all has to be as the
ledger says. Some more are killed at random moments, in the middle of a line.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from core.config import CHECKOUT, Settings
from core.registry import promotion, publish
from core.registry.published import CHAMPION
from core.store import Store
from core.store.blobs import file_sha256
from tests.factories import make_settings
from tests.unit.registry.factories import proven

_ROOMS = tuple(str(CHECKOUT / "core" / room) for room in ("registry", "store"))
_WEIGHTS_BYTES = 1_000_000
_LONGEST_DELAY_S = 0.15


@dataclass
class Kills:
    """What was tried and found.

    Attributes:
        lines: That a publication runs through, repeated ones included.
        kills: Publications that were killed.
        published: Those that had got past the commit of the ledger, so that the new weights stayed live.
        half_done: Those after which the files were not those of the ledger, until somebody looked.
        findings: What must not be, a sentence each.
    """

    lines: int = 0
    kills: int = 0
    published: int = 0
    half_done: int = 0
    findings: list[str] = field(default_factory=list)


def kill_everywhere(settings: Settings, *, every: int, at_random: int, seed: int) -> Kills:
    """Kill a publication at every so many-th of its lines, and so many at random moments."""
    with Store.open(settings) as store:
        pair = [proven(store, os.urandom(_WEIGHTS_BYTES)).id for _ in range(2)]
        promotion.promote(store, pair[0], expected_champion_id=None, actor="bench", reason="first")
    kills = Kills(lines=_count_lines(settings, pair))
    chance = random.Random(seed)
    for line in range(1, kills.lines + 1, every):
        with _looked_after(settings, kills, f"killed at line {line}"):
            _kill_at(settings, pair, line)
    for number in range(at_random):
        with _looked_after(settings, kills, f"killed at random ({number})"):
            _kill_after(settings, pair, chance.uniform(0, _LONGEST_DELAY_S))
    return kills


def _count_lines(settings: Settings, pair: list[str]) -> int:
    reading, writing = os.pipe()

    def count() -> None:
        lines = _Lines(lambda _: None)
        lines.run(settings, pair)
        os.write(writing, str(lines.seen).encode())

    _wait_for(_forked(count))
    return int(os.read(reading, 100))


def _kill_at(settings: Settings, pair: list[str], line: int) -> None:
    def die(seen: int) -> None:
        if seen == line:
            os.kill(os.getpid(), signal.SIGKILL)

    _wait_for(_forked(lambda: _Lines(die).run(settings, pair)))


def _kill_after(settings: Settings, pair: list[str], delay_s: float) -> None:
    child = _forked(lambda: _publish(settings, pair))
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    _wait_for(child)


def _forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def _wait_for(child: int) -> None:
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a publication failed"


class _Lines:
    """Runs a publication and counts the lines of the product that it runs through."""

    def __init__(self, at_line: Callable[[int], None]) -> None:
        self._at_line = at_line
        self.seen = 0

    def run(self, settings: Settings, pair: list[str]) -> None:
        with Store.open(settings) as store:
            sys.settrace(self._trace)
            try:
                _change(store, pair)
            finally:
                sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_ROOMS):
            return None
        if event == "line":
            self.seen += 1
            self._at_line(self.seen)
        return self._trace


def _publish(settings: Settings, pair: list[str]) -> None:
    with Store.open(settings) as store:
        _change(store, pair)


def _change(store: Store, pair: list[str]) -> None:
    """Let the other of the two become live: the second by promotion, the first by rolling back."""
    live = publish.champion(store)
    assert live is not None
    by = {"expected_champion_id": live.id, "actor": "bench", "reason": "kill"}
    if live.id == pair[0]:
        promotion.promote(store, pair[1], **by)
    else:
        promotion.roll_back(store, to=pair[0], **by)


@contextmanager
def _looked_after(settings: Settings, kills: Kills, what: str) -> Iterator[None]:
    """Look at what the block leaves behind, let the others look, and look again."""
    with Store.open(settings) as store:
        before = _newest_entry(store)
    yield
    kills.kills += 1
    with Store.open(settings) as store:
        live, files = publish.champion(store), store.settings.weights_dir
        assert live is not None
        shown = json.loads((files / CHAMPION).read_text())["id"]
        found = file_sha256(publish.published_path(store))
        _check(kills, what, (files / shown).is_dir(), "the manifest names no checkpoint")
        _check(kills, what, found in _sha256_of_all(store), "readers find torn weights")
        kills.half_done += (shown, found) != (live.id, live.sha256)
        kills.published += _newest_entry(store) != before
        # A process that lives looks first, then one that starts.
        publish.follow(store)
        is_mended = file_sha256(publish.published_path(store)) == live.sha256
        _check(kills, what, is_mended, "who lived on did not mend it")
        publish.Follower(store).look()
        _check_mended(kills, what, store)


def _newest_entry(store: Store) -> int:
    return publish.ledger(store, limit=1)[0].id


def _sha256_of_all(store: Store) -> set[str]:
    return {file_sha256(path) for path in store.settings.weights_dir.glob("ckpt-*/weights.pt")}


def _check_mended(kills: Kills, what: str, store: Store) -> None:
    live, files = publish.champion(store), store.settings.weights_dir
    assert live is not None
    shown = json.loads((files / CHAMPION).read_text())
    _check(
        kills, what, file_sha256(publish.published_path(store)) == live.sha256, "the start did not mend it"
    )
    _check(kills, what, shown["id"] == live.id, "the manifest is not that of the champion")
    left = [path.name for path in files.iterdir() if path.name.startswith(".")]
    _check(kills, what, not left, f"left behind: {left}")
    _check(kills, what, not (store.settings.data_dir / "publish.unfinished").exists(), "it is still in doubt")
    _check(kills, what, not publish.follow(store, thoroughly=True), "the next start had to mend it once more")


def _check(kills: Kills, what: str, is_well: bool, finding: str) -> None:
    if not is_well:
        kills.findings.append(f"{what}: {finding}")


def main() -> int:
    """Kill, and print what was found as JSON."""
    about, *more = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog="\n".join(more))
    parser.add_argument("--every", type=int, default=1, help="kill at every so many-th line")
    parser.add_argument("--at-random", type=int, default=100, help="kills at random moments")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database-url", default="", help="SQLite in the folder if left out")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tms-publish-") as folder:
        settings = make_settings(Path(folder), database_url=asked.database_url)
        kills = kill_everywhere(settings, every=asked.every, at_random=asked.at_random, seed=asked.seed)
    print(json.dumps(asdict(kills)))
    return 1 if kills.findings else 0


if __name__ == "__main__":
    sys.exit(main())
