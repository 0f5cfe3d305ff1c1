"""How live the truth is: `python -m bench.live`.

How long an event takes from the database to a client of server-sent events, and how long a cancellation takes
from the call until `cancelled` is shown, over several runs on a tiny model.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import requests

from bench.product import Product, image_server
from bench.report import conclude

MOST_EVENT_S, MOST_CANCEL_S, MOST_BATCHES = 1.0, 5.0, 2
SIZE_PX, FEEDBACK, EVENTS = 64, 4, 60
ASKED = {"epochs": 1_000, "batch_size": 2, "image_size": SIZE_PX, "train_replay": 4, "freeze": 0}


def events(product: Product, run_id: str) -> Iterator[tuple[str, dict[str, object], float]]:
    """Kind and data of each event as it comes, and the seconds since it was written."""
    url = product.url(f"/api/runs/{run_id}/events")
    kind = ""
    with requests.get(url, stream=True, timeout=60) as answer:
        for line in answer.iter_lines(decode_unicode=True):
            if line.startswith("event:"):
                kind = line.removeprefix("event:").strip()
            elif line.startswith("data:") and kind != "end":
                data = json.loads(line.removeprefix("data:"))
                written = datetime.fromisoformat(data["created_at"]).timestamp()
                yield kind, data["payload"], time.time() - written


def one_run(product: Product) -> tuple[list[float], float, int]:
    """Seconds of each event, seconds of the cancellation, and how many batches were told behind it."""
    run_id = product.post(product.payload(range(FEEDBACK), SIZE_PX, **ASKED))
    seconds: list[float] = []
    asked_s, batches = 0.0, 0
    for kind, _, event_s in events(product, run_id):
        # What was there before the client came was not waiting for it.
        seconds.append(event_s)
        batches += kind == "batch" and asked_s > 0
        if not asked_s and len(seconds) == EVENTS:
            requests.post(product.url(f"/api/runs/{run_id}/cancel"), timeout=60).raise_for_status()
            asked_s = time.monotonic()
    cancelled_s = time.monotonic() - asked_s
    assert product.wait_for_end(run_id)["status"] == "cancelled"
    return seconds[EVENTS // 2 :], cancelled_s, batches


def measure(home: Path, repeats: int) -> list[tuple[list[float], float, int]]:
    """So many runs, one after the other."""
    with image_server(home / "feedback") as address:
        product = Product(home, address, worker_autostart=False)
        sizes = {"train": 6, "valid": 4, "test": 4}
        product.make(width=0.05, images=sizes, size_px=SIZE_PX, feedback=FEEDBACK)
        try:
            product.start_api()
            with product.worker(warm=False):
                return [one_run(product) for _ in range(repeats)]
        finally:
            product.end()


def main() -> int:
    """Measure, print, and say whether the numbers were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs")
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), parser.parse_args().repeats)
    event_s = [second for seconds, _, _ in measured for second in seconds]
    cancel_s = [second for _, second, _ in measured]
    batches = [count for _, _, count in measured]
    rows = [
        {
            "what": what,
            "median": f"{median(values):.2f}",
            "most": f"{max(values):.2f}",
            "asked for": f"{most}",
        }
        for what, values, most in (
            ("seconds from the database to the client", event_s, MOST_EVENT_S),
            ("seconds from the cancellation to `cancelled`", cancel_s, MOST_CANCEL_S),
            ("batches told behind a cancellation", batches, MOST_BATCHES),
        )
    ]
    is_prompt = max(cancel_s) <= MOST_CANCEL_S or max(batches) <= MOST_BATCHES
    ok = max(event_s) <= MOST_EVENT_S and is_prompt
    figures = {"most_event_s": max(event_s), "most_cancel_s": max(cancel_s), "most_batches": max(batches)}
    return conclude("live", rows, ok=ok, figures={**figures, "events": len(event_s)})


if __name__ == "__main__":
    sys.exit(main())
