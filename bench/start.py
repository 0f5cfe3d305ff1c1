"""How soon learning starts: `python -m bench.start`.

From the POST of a batch to the first optimizer step, with the warm spare and without it, against plain
`yolo train` in a cold process on the very same images (the data set that the product writes for every run).
The weights are those of an untrained YOLOv8n: what they know takes no time.
"""

import argparse
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil

from bench.product import Product, image_server
from bench.report import conclude
from core.config import CHECKOUT
from tests.processes import clean_environment, wait_until

MOST_WARM_RATIO, MOST_COLD_RATIO, MOST_IDLE_SHARE = 0.10, 0.6, 0.01
SIZE_PX, FEEDBACK, REPLAY, BATCH_SIZE = 320, 8, 56, 4
ASKED = {"epochs": 1, "batch_size": BATCH_SIZE, "image_size": SIZE_PX, "train_replay": REPLAY}
_IDLE_SECONDS = 30
# What `yolo train` does, with the moment of its first step told; the run is not needed any further.
_YOLO = """
import os, sys, time
from ultralytics import YOLO
model = YOLO(sys.argv[1])
def first_step(trainer):
    print("FIRST_STEP", time.time(), flush=True)
    os._exit(0)
model.add_callback("on_train_batch_end", first_step)
model.train(data=sys.argv[2], imgsz=int(sys.argv[3]), batch=int(sys.argv[4]), epochs=1, device="cpu",
            project=sys.argv[5], exist_ok=True)
"""


def yolo_seconds(product: Product, data_yaml: Path) -> float:
    """Seconds of a cold `yolo train` from its start to its first step."""
    for cache in data_yaml.parent.parent.rglob("*.cache"):
        cache.unlink()
    started = time.time()
    done = psutil.Popen(
        [sys.executable, "-c", _YOLO, product.settings.pretrained_weights, data_yaml, str(SIZE_PX),
         str(BATCH_SIZE), product.settings.home / "yolo"],
        cwd=CHECKOUT, env={**clean_environment(), "YOLO_OFFLINE": "true"}, stdout=-1, stderr=-3, text=True,
    )  # fmt: skip
    output, _ = done.communicate()
    first = next(line for line in output.splitlines() if "FIRST_STEP" in line)
    return float(first.rsplit(maxsplit=1)[-1]) - started


def our_seconds(product: Product) -> float:
    """Seconds from the POST to the first step; the run is cancelled after it."""
    payload = product.payload(range(FEEDBACK), SIZE_PX, **ASKED)
    started = time.time()
    run_id = product.post(payload)
    log = product.settings.log_path(run_id)
    stamp = wait_until(lambda: _first_step_of(log))
    product.cancel(run_id)
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp() - started


def _first_step_of(log: Path) -> str | None:
    lines = log.read_text().splitlines() if log.exists() else []
    return next((line[:23] for line in lines if " INFO batch " in line), None)


def idle_share(product: Product) -> float:
    """Share of one core that worker and spare take while there is nothing to do."""
    family = [process for process in psutil.process_iter() if _is_of(process, product)]
    before = sum(sum(process.cpu_times()[:2]) for process in family)
    started = time.monotonic()
    time.sleep(_IDLE_SECONDS)
    after = sum(sum(process.cpu_times()[:2]) for process in family)
    return (after - before) / (time.monotonic() - started)


def _is_of(process: psutil.Process, product: Product) -> bool:
    try:
        jobs = any(part.startswith("core.jobs.") for part in process.cmdline())
        return jobs and process.environ().get("TMS_HOME") == str(product.settings.home)
    except psutil.Error:
        return False


def measure(home: Path, repeats: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of all arms, in turn forth and back, as no machine is always as fast; and the idle share."""
    with image_server(home / "feedback") as address:
        product = Product(home, address, worker_autostart=False)
        sizes = {"train": REPLAY, "valid": 8, "test": 8}
        product.make(width=0.25, images=sizes, size_px=SIZE_PX, feedback=FEEDBACK)
        try:
            product.start_api()
            seconds = _in_turn(product, repeats)
            with product.worker(warm=True):
                return seconds, idle_share(product)
        finally:
            product.end()


def _in_turn(product: Product, repeats: int) -> dict[str, list[float]]:
    with product.worker(warm=False):
        run_id = product.post(product.payload(range(FEEDBACK), SIZE_PX, **ASKED))
        product.wait_for_end(run_id)
    data_yaml = product.settings.dataset_folder(run_id) / "data.yaml"
    seconds: dict[str, list[float]] = {"yolo train": [], "warm spare": [], "no spare": []}
    for repeat in range(repeats):
        for arm in list(seconds) if repeat % 2 == 0 else list(reversed(seconds)):
            seconds[arm].append(_one(product, arm, data_yaml))
    return seconds


def _one(product: Product, arm: str, data_yaml: Path) -> float:
    if arm == "yolo train":
        return yolo_seconds(product, data_yaml)
    with product.worker(warm=arm == "warm spare"):
        return our_seconds(product)


def main() -> int:
    """Measure, print, and say whether the numbers were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=4, help="measurements of each arm")
    with tempfile.TemporaryDirectory() as folder:
        seconds, idle = measure(Path(folder), parser.parse_args().repeats)
    medians = {arm: median(values) for arm, values in seconds.items()}
    ratios = {arm: medians[arm] / medians["yolo train"] for arm in seconds}
    rows = [
        {"arm": arm, "seconds to first step": f"{medians[arm]:.2f}", "of yolo train": f"{ratios[arm]:.3f}",
         "all": " ".join(f"{value:.2f}" for value in seconds[arm])}
        for arm in seconds
    ]  # fmt: skip
    rows.append({"arm": "idle worker and spare", "seconds to first step": "", "of yolo train": "",
                 "all": f"{100 * idle:.2f} % of a core"})  # fmt: skip
    reached = {
        "warm": ratios["warm spare"] <= MOST_WARM_RATIO,
        "cold": ratios["no spare"] <= MOST_COLD_RATIO,
        "idle": idle <= MOST_IDLE_SHARE,
    }
    figures = {"seconds": medians, "ratios": ratios, "idle_share_of_a_core": idle, "reached": reached}
    return conclude("start", rows, ok=all(reached.values()), figures=figures)


if __name__ == "__main__":
    sys.exit(main())
