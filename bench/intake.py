"""How fast and how lean intake is: `python -m bench.intake`.

Ten thousand images come over loopback from a server that waits 50 ms before each answer, once through intake
and once through the loop that the replaced service used: `requests.get` and a decode, one by one. Then from a
server that does not wait, against two processes that do nothing but read, decode and hash the same files. The
loop and the two processes are timed on a part of the images; each is as fast on any of them.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import requests
from PIL import Image

from bench.image_server import serving
from bench.report import conclude
from core.config import CHECKOUT, MIB
from tests.factories import CLASS_NAMES, detection, image

LEAST_OF_LOOP, LEAST_OF_BARE, MOST_MIB, MOST_GROWTH = 8.0, 0.8, 600.0, 1.15
LATENCY_S, SAMPLE, LOOP_SAMPLE = 0.05, 2_000, 200
_LOOK_S = 0.2
_TAKE_IN = """
import json, sys, time
from core.config import Settings
from core.feedback import intake
from core.feedback.approved import approved_samples
from core.schemas import FineTuneRequest
from core.store import Store
home, host, payload, names = sys.argv[1:]
settings = Settings(_env_file=None, home=home, image_hosts=host)
with Store.open(settings) as store:
    asked = FineTuneRequest.model_validate_json(open(payload).read())
    with store.database.write() as session:
        batch_id = intake.record_batch(session, asked, source="bench", actor="bench").id
    started = time.perf_counter()
    intake.take_in(store, batch_id, class_names=json.loads(names), judging={}, champion_id=None,
                   on_progress=lambda done, total: None)
    print(json.dumps([time.perf_counter() - started, len(approved_samples(store, batch_id))]))
"""


def make_images(folder: Path, count: int, width_px: int, height_px: int) -> None:
    """Write so many thermal-looking JPEGs, each of its own pixels, with the noise of a sensor."""
    with ProcessPoolExecutor(2) as pool:
        parts = [range(start, count, 2) for start in range(2)]
        list(pool.map(_write_images, [folder] * 2, parts, [(width_px, height_px)] * 2))


def _write_images(folder: Path, numbers: range, size_px: tuple[int, int]) -> None:
    width_px, height_px = size_px
    noise = np.random.default_rng(0).normal(0, 3, (2 * height_px, 2 * width_px, 1)).astype(np.float32)
    for number in numbers:
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(30, 220, (6, 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(size_px, Image.Resampling.BICUBIC), dtype=np.float32)
        top, left = random.integers(0, height_px), random.integers(0, width_px)
        pixels = smooth + noise[top : top + height_px, left : left + width_px]
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def loop_rate(address: str, count: int) -> float:
    """Images a second of the loop that the replaced service used."""
    started = time.perf_counter()
    for number in range(count):
        answer = requests.get(f"{address}/{number}.jpg", timeout=30)
        Image.open(io.BytesIO(answer.content)).convert("RGB")
    return count / (time.perf_counter() - started)


def bare_rate(folder: Path, count: int) -> float:
    """Images a second of two processes that read, decode and hash."""
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_read_decode_hash, [folder] * 2, [range(2)] * 2))
        parts = [range(start, count, 2) for start in range(2)]
        started = time.perf_counter()
        list(pool.map(_read_decode_hash, [folder] * 2, parts))
        return count / (time.perf_counter() - started)


def _read_decode_hash(folder: Path, numbers: range) -> None:
    for number in numbers:
        content = (folder / f"{number}.jpg").read_bytes()
        hashlib.sha256(content).digest()
        Image.open(io.BytesIO(content)).load()


def our_rate(home: Path, address: str, count: int) -> tuple[float, list[int]]:
    """Images a second of intake, in a process of its own, and the bytes that it held from look to look."""
    box = detection((20, 20, 200, 200))
    payload = home / "payload.json"
    home.mkdir()
    payload.write_text(
        json.dumps({"images": [image(f"{address}/{number}.jpg", box) for number in range(count)]})
    )
    command = [sys.executable, "-c", _TAKE_IN, str(home), address.removeprefix("http://"), str(payload),
               json.dumps(CLASS_NAMES)]  # fmt: skip
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        held_bytes = []
        while process.poll() is None:
            held_bytes.append(_memory_of(process.pid))
            time.sleep(_LOOK_S)
        assert process.stdout is not None
        seconds, taken = json.loads(process.stdout.read())
    assert taken == count, f"{taken} of {count} were taken in"
    return count / seconds, held_bytes


def _memory_of(pid: int) -> int:
    """Bytes of a process and of those that it started."""
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def growth(held_bytes: list[int]) -> float:
    """How much more is held in the last quarter of the time than in the second."""
    quarter = max(1, len(held_bytes) // 4)
    return float(np.mean(held_bytes[-quarter:]) / np.mean(held_bytes[quarter : 2 * quarter]))


def measure(folder: Path, count: int) -> dict[str, float]:
    """All rates, in images a second, and the memory."""
    images = folder / "images"
    with serving(images, LATENCY_S) as address:
        loop = loop_rate(address, min(count, LOOP_SAMPLE))
        slow, held_bytes = our_rate(folder / "slow", address, count)
    bare = bare_rate(images, min(count, SAMPLE))
    with serving(images, 0) as address:
        quick, _ = our_rate(folder / "quick", address, count)
    return {
        "loop": loop, "ours at 50 ms": slow, "bare": bare, "ours at 0 ms": quick,
        "peak_mib": max(held_bytes) / MIB, "growth": growth(held_bytes),
    }  # fmt: skip


def main() -> int:
    """Measure, print, and say whether the numbers were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000, help="how many")
    parser.add_argument("--size", default="1280x960", help="of each, in pixels")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        make_images(folder / "images", asked.images, *map(int, asked.size.split("x")))
        figures = measure(folder, asked.images)
    reached = {
        "rate at 50 ms, of the loop": (figures["ours at 50 ms"] / figures["loop"], LEAST_OF_LOOP, True),
        "rate at 0 ms, of two bare processes": (
            figures["ours at 0 ms"] / figures["bare"],
            LEAST_OF_BARE,
            True,
        ),
        "peak memory, MiB": (figures["peak_mib"], MOST_MIB, False),
        "memory in the last quarter, of the second": (figures["growth"], MOST_GROWTH, False),
    }
    rows = [
        {
            "what": what,
            "measured": f"{value:.2f}",
            "asked for": f"{'at least' if more else 'at most'} {limit:g}",
        }
        for what, (value, limit, more) in reached.items()
    ]
    ok = all(value >= limit if more else value <= limit for value, limit, more in reached.values())
    return conclude("intake", rows, ok=ok, figures={**figures, "images": asked.images, "size": asked.size})


if __name__ == "__main__":
    sys.exit(main())
