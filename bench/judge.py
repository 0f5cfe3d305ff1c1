"""How fast and how honest the judge is: `python -m bench.judge`.

Speed: all figures of two models on 1,000 images under 1,000 bootstrap resamples, overall and per class,
against hotcoco's own comparison, which gives intervals overall and not per class.

Null test: a champion and the same champion taught once more with another seed, on images drawn anew in each
of 400 trials. In every image a coin decides which of the two is called the champion, so that neither is
better: whatever the gate calls a proven gain is chance.

Loss test: the champion against one that is 5 points worse, on 200 images of a base test set, in two ways:
boxes that are looser everywhere, and images in which nothing is found any more.

`--example` prints the worked example of docs/judging.md instead.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import hotcoco
import numpy as np

from bench.judge_data import Measured, chosen, measure
from bench.judge_example import example
from bench.report import conclude
from core.evaluation.bootstrap import tally
from core.evaluation.coco import evaluator, match
from core.evaluation.comparison import RESAMPLES, Comparison, compare
from core.evaluation.detections import Detections
from core.evaluation.gate import Decision, decide
from core.evaluation.policy import Evidence, Policy

MOST_SECONDS, MOST_OF_HOTCOCO, MOST_FALSE_GAINS, LEAST_HELD = 5.0, 1.5, 0.05, 0.90
IMAGES, BASE_IMAGES, HOLDOUT_IMAGES, LOSS = 1_000, 200, 100, 0.05
_CONFIDENCE = 0.25
_REPEATS = 3
# Twelve hundred trials; their intervals need not be as smooth as that of one run.
_TRIAL_RESAMPLES = 500


def speed(measured: Measured) -> dict[str, float]:
    """Seconds of our comparison and of hotcoco's, the best of a few in turn, on the same detections."""
    random = np.random.default_rng(0)
    large = chosen(measured, random.integers(0, measured.truth.image_count, IMAGES), [False] * IMAGES, "test")
    seconds: dict[str, list[float]] = {"ours": [], "hotcoco": []}
    for _ in range(_REPEATS):
        seconds["ours"].append(_seconds(partial(_compare, large)))
        seconds["hotcoco"].append(_seconds(partial(_hotcoco, large)))
    return {name: min(values) for name, values in seconds.items()}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _compare(measured: Measured, resamples: int | None = None) -> Comparison:
    return compare(
        measured.truth,
        measured.champion,
        measured.candidate,
        class_names=measured.class_names,
        confidence=_CONFIDENCE,
        resamples=resamples,
    )


def _hotcoco(measured: Measured) -> object:
    both = [
        evaluator(measured.truth, seen, measured.class_names)
        for seen in (measured.champion, measured.candidate)
    ]
    return hotcoco.compare(*both, n_bootstrap=RESAMPLES)


def null_trial(measured: Measured, seed: int) -> Decision:
    """What the gate says where there is nothing to gain."""
    random = np.random.default_rng(seed)
    drawn = random.choice(measured.truth.image_count, BASE_IMAGES + HOLDOUT_IMAGES, replace=False)
    turned = random.random(len(drawn)) < 0.5
    base = chosen(measured, drawn[:BASE_IMAGES], turned[:BASE_IMAGES], "test")
    holdout = chosen(measured, drawn[BASE_IMAGES:], turned[BASE_IMAGES:], "holdout")
    compared = (_compare(one, _TRIAL_RESAMPLES) for one in (base, holdout))
    return decide(Evidence(*compared), Policy("proven_gain"))


def loss_trial(measured: Measured, seed: int) -> Decision:
    """What the gate says of a true loss, on the base test set alone."""
    drawn = np.random.default_rng(seed).choice(measured.truth.image_count, BASE_IMAGES, replace=False)
    base = chosen(measured, drawn, [False] * BASE_IMAGES, "test")
    return decide(Evidence(_compare(base, _TRIAL_RESAMPLES)), Policy("no_regression"))


def looser(measured: Measured, pixels: float) -> Measured:
    """The champion against itself with every box moved by chance, with this standard deviation."""
    seen, random = measured.champion, np.random.default_rng(1)
    moved = seen.xyxy + np.tile(random.normal(0, pixels, (len(seen), 2)), 2)
    return replace(measured, candidate=replace(seen, xyxy=moved))


def blinder(measured: Measured, share: float) -> Measured:
    """The champion against itself, blind in this share of the images."""
    order = np.random.default_rng(1).permutation(measured.truth.image_count)
    blind = order[: round(share * len(order))]
    return replace(measured, candidate=measured.champion.where(~np.isin(measured.champion.image, blind)))


def losing(measured: Measured, worsen: Callable[[Measured, float], Measured], most: float) -> Measured:
    """Worsened until exactly `LOSS` is lost on all images, by halving."""
    low, high = 0.0, most
    for _ in range(12):
        middle = (low + high) / 2
        lost = _ap(measured, measured.champion) - _ap(measured, worsen(measured, middle).candidate)
        low, high = (middle, high) if lost < LOSS else (low, middle)
    return worsen(measured, high)


def _ap(measured: Measured, seen: Detections) -> float:
    once = np.ones((1, measured.truth.image_count))
    matched = match(measured.truth, seen, measured.class_names)
    return float(tally(matched, once, _CONFIDENCE).overall()["ap50_95"][0])


def shares(decisions: Sequence[Decision]) -> dict[str, float]:
    """Shares of the verdicts, and of what would not be published."""
    found = {
        verdict: sum(one.verdict == verdict for one in decisions) / len(decisions)
        for verdict in ("pass", "fail", "not_enough_evidence")
    }
    return {**found, "held": sum(not one.publishes for one in decisions) / len(decisions)}


def simulate(measured: Measured, trials: int) -> dict[str, dict[str, float]]:
    """All trials, spread over the cores."""
    tests = {
        "no gain, proven_gain": (null_trial, measured),
        "5 points lost, looser boxes": (loss_trial, losing(measured, looser, 30.0)),
        "5 points lost, blind in some images": (loss_trial, losing(measured, blinder, 0.5)),
    }
    # Not forked: hotcoco's threads would be missing in the children, which would wait for them.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return {
            name: shares(list(pool.map(partial(trial, data), range(trials), chunksize=10)))
            for name, (trial, data) in tests.items()
        }


def main() -> int:
    """Measure, print, and say whether the numbers were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400, help="trials of each test")
    parser.add_argument("--example", action="store_true", help="print the worked example of docs/judging.md")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.example:
            return example(Path(folder))
        measured = measure(Path(folder))
    seconds, found = speed(measured), simulate(measured, asked.trials)
    null, *losses = found.values()
    reached = {
        "seconds": seconds["ours"] <= MOST_SECONDS,
        "of_hotcoco": seconds["ours"] / seconds["hotcoco"] <= MOST_OF_HOTCOCO,
        "false_gains": null["pass"] <= MOST_FALSE_GAINS,
        "losses_held": all(max(loss["fail"], loss["held"]) >= LEAST_HELD for loss in losses),
    }
    rows = [
        {"what": f"{RESAMPLES} resamples of {IMAGES} images, {name}", "measured": f"{value:.2f} s"}
        for name, value in seconds.items()
    ]
    rows += [
        {"what": name, "measured": ", ".join(f"{key} {100 * value:.1f} %" for key, value in one.items())}
        for name, one in found.items()
    ]
    figures = {"data": measured.source, "seconds": seconds, "shares": found, "reached": reached}
    return conclude("judge", rows, ok=all(reached.values()), figures=figures)


if __name__ == "__main__":
    sys.exit(main())
