"""Whether publishing can be torn: `python -m bench.publish`.

Small real detectors are promoted and rolled back two thousand times while readers load the published file
all the time, each in a process of its own. Then roll backs are timed over HTTP, from the call until another
caller and the file show them. Last, publications are killed with SIGKILL at each line that they run through,
and at random moments: what they leave has to be mended.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

from bench.faults import database
from bench.publish_readers import reading
from bench.report import conclude
from core.config import CHECKOUT
from core.registry import checkpoints, promotion, proof, publish
from core.store import Store
from core.store.blobs import file_sha256
from core.store.tables import Checkpoint
from core.training.isolation import isolate
from tests.api.product import api_process
from tests.factories import CLASS_NAMES, make_settings
from tests.processes import clean_environment, free_port
from tests.weights import write_weights

MOST_VISIBLE_S = 1.0
_CHAMPIONS = 4
_TIMED = 20
_WIDTH = 0.05
_BY = {"actor": "bench", "reason": "to see whether it holds"}


def make_champions(store: Store) -> list[Checkpoint]:
    """Small detectors that differ, each loaded by another process; the first is live."""
    isolate(store.settings)
    from core.training.weights import load_model, save_model

    path = write_weights(store.settings.home / "weights.pt", store.settings, width=_WIDTH)
    made = []
    for number in range(_CHAMPIONS):
        model = load_model(path)
        for parameter in model.parameters():
            parameter.data *= 1 + number / 100
        save_model(model, store.settings.home / "new.pt")
        made.append(checkpoints.register(store, store.settings.home / "new.pt", class_names=CLASS_NAMES))
        proof.prove(store, made[-1])
    promotion.promote(store, made[0].id, expected_champion_id=None, **_BY)
    return made


def publish_often(store: Store, champions: list[Checkpoint], times: int) -> list[float]:
    """Promote the next one and roll back, in turn; gives the seconds of each."""
    seconds, live = [], champions[0].id
    following = cycle(champions[1:])
    for number in range(times):
        began = time.monotonic()
        if number % 2 == 0:
            model = promotion.promote(store, next(following).id, expected_champion_id=live, **_BY)
        else:
            model = promotion.roll_back(store, expected_champion_id=live, **_BY)
        seconds.append(time.monotonic() - began)
        live = model.id
    return seconds


def time_rollbacks(store: Store, champions: list[Checkpoint]) -> list[float]:
    """Seconds from the call of each roll back until the API and the published file show it."""
    seconds = []
    with api_process(store.settings) as (_, client):
        for other in (champions[1 + number % (_CHAMPIONS - 1)] for number in range(_TIMED)):
            live = client.get("/api/model").json()["id"]
            promoted = {"checkpoint_id": other.id, "expected_champion_id": live, "reason": "bench"}
            client.post("/api/model/promote", json=promoted).raise_for_status()
            seconds.append(_time_rollback(store, client, other.id))
    return seconds


def _time_rollback(store: Store, client: httpx2.Client, live: str) -> float:
    began = time.monotonic()
    body = {"expected_champion_id": live, "reason": "bench"}
    sha256 = client.post("/api/model/rollback", json=body).raise_for_status().json()["sha256"]
    assert client.get("/api/model").json()["sha256"] == sha256
    assert file_sha256(publish.published_path(store)) == sha256
    return time.monotonic() - began


def kill(asked: argparse.Namespace, database_url: str) -> dict[str, Any]:
    """What `bench.publish_kills` found, in a process without the threads of this one."""
    options = {
        "--every": asked.kill_every,
        "--at-random": asked.kill_at_random,
        "--database-url": database_url,
    }
    listed = [text for option, value in options.items() for text in (option, str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "bench.publish_kills", *listed],
        cwd=CHECKOUT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(home: Path, database_url: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Publish under readers and time roll backs, in this home."""
    settings = make_settings(home, database_url=database_url, api_port=free_port(), device="cpu")
    with Store.open(settings) as store:
        champions = make_champions(store)
        known = [checkpoint.sha256 for checkpoint in champions]
        with reading(settings, known, asked.readers) as seen:
            seconds = publish_often(store, champions, asked.publishes)
        return {
            "publishes and roll backs": len(publish.ledger(store, limit=100_000)) - 1,
            "median seconds of one, under readers": round(median(seconds), 4),
            "most seconds of one, under readers": round(max(seconds), 3),
            "readers": len(seen),
            "reads": sum(one["reads"] for one in seen),
            "different weights that a reader saw": min(len(one["sha256"]) for one in seen),
            "torn reads": [what for one in seen for what in one["torn"]],
            "missing reads": [what for one in seen for what in one["missing"]],
            "most seconds until a roll back is visible": round(max(time_rollbacks(store, champions)), 3),
        }


def report(measured: dict[str, Any], kills: dict[str, Any], asked: argparse.Namespace) -> int:
    """Print all of it, the findings first; gives the exit status."""
    for finding in measured["torn reads"] + measured["missing reads"] + kills["findings"]:
        print(finding, file=sys.stderr)
    told = measured | {
        "lines of a publication": kills["lines"],
        "publications that were killed": kills["kills"],
        "of these, committed before": kills["published"],
        "of these, half done": kills["half_done"],
        "states that were not mended": kills["findings"],
    }
    counted = {what: len(value) if isinstance(value, list) else value for what, value in told.items()}
    limits: dict[str, float] = dict.fromkeys(
        ("torn reads", "missing reads", "states that were not mended"), 0
    )
    limits["most seconds until a roll back is visible"] = MOST_VISIBLE_S
    rows = [
        {"what": what, "found": value, "asked for": limits.get(what, "")} for what, value in counted.items()
    ]
    is_seen = counted["different weights that a reader saw"] > 1
    ok = is_seen and all(counted[what] <= most for what, most in limits.items())
    figures = {what.replace(",", "").replace(" ", "_"): value for what, value in counted.items()}
    return conclude("publish", rows, ok=ok, figures={"database": asked.database, **figures})


def main() -> int:
    """Publish, kill, print, and say whether nothing was that must not be."""
    about, *more = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog="\n".join(more))
    parser.add_argument("--publishes", type=int, default=2_000, help="promotions and roll backs together")
    parser.add_argument("--readers", type=int, default=8, help="processes that load the file all the time")
    parser.add_argument("--kill-every", type=int, default=1, help="kill at every so many-th line")
    parser.add_argument("--kill-at-random", type=int, default=100, help="kills at random moments")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tms-publish-") as folder:
        with database(asked.database) as url:
            measured = measure(Path(folder), url, asked)
        with database(asked.database) as url:
            kills = kill(asked, url)
    return report(measured, kills, asked)


if __name__ == "__main__":
    sys.exit(main())
