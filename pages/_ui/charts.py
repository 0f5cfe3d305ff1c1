"""Curves of a run, drawn by ECharts in the colours of the theme.

Streamlit mounts a Plotly chart anew whenever its data change, which blinks once a second while a run is
live; a keyed ECharts chart takes new data in place.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import streamlit as st

from core.evaluation.metrics import FITNESS, MAP50, MAP50_95, PRECISION, RECALL

MAX_POINTS = 500
METRICS = {MAP50_95: "mAP50-95", MAP50: "mAP50", PRECISION: "Precision", RECALL: "Recall", FITNESS: "Fitness"}
_LOSSES = {"box_loss": "Box", "cls_loss": "Class", "dfl_loss": "Edges (DFL)"}
_HEIGHT_PX = 280

Point = tuple[float, float]
Curves = dict[str, list[Point]]
Chart = dict[str, Any]


def draw(key: str, chart: Chart, alt: str, height_px: int = _HEIGHT_PX) -> None:
    """Put a chart on the screen; the same key keeps the same chart while its data change.

    Args:
        key: Names the chart on its screen.
        chart: From one of the functions below.
        alt: What it shows, for those who cannot see it.
        height_px: On the screen.
    """
    st.echarts_chart(chart, key=key, height=height_px, alt=alt)


def losses(batches: Sequence[dict[str, Any]]) -> Chart:
    """Training losses by step, from `batch` payloads; at least one."""
    curves = {
        _LOSSES.get(name, name): [(batch["step"], batch["loss"][name]) for batch in batches]
        for name in batches[-1]["loss"]
    }
    return _chart(curves, x="Step", y="Loss", last_x=batches[-1]["steps"])


def learning_rates(batches: Sequence[dict[str, Any]]) -> Chart:
    """Learning rate by step, from `batch` payloads; at least one."""
    curve = [(batch["step"], batch["learning_rate"]) for batch in batches]
    chart = _chart({"Learning rate": curve}, x="Step", y="Learning rate", last_x=batches[-1]["steps"])
    return chart | {"tooltip": {"trigger": "axis", "valueFormatter": "%.2e"}}


def epoch_metrics(epochs: Sequence[dict[str, Any]]) -> Chart:
    """Scores on the tune split by epoch, in points, from `epoch` payloads; at least one."""
    curves = {
        name: [(epoch["epoch"], 100 * epoch["metrics"][key]) for epoch in epochs if key in epoch["metrics"]]
        for key, name in METRICS.items()
        if key != FITNESS
    }
    chart = _chart(curves, x="Epoch", y="Points", last_x=epochs[-1]["epochs"])
    for line in chart["series"]:
        line["showSymbol"] = True
    return chart | {"tooltip": {"trigger": "axis", "valueFormatter": "%.1f"}}


def thin(curve: Sequence[Point], most: int = MAX_POINTS) -> list[Point]:
    """At most `most` points: each is the mean of a stretch of neighbours, so that no level is lost.

    Args:
        curve: `(x, y)` pairs in order of x.
        most: Largest number of points to return.
    """
    if len(curve) <= most:
        return list(curve)
    edges = [round(index * len(curve) / most) for index in range(most + 1)]
    return [_mean(curve[start:end]) for start, end in pairwise(edges)]


def _mean(stretch: Sequence[Point]) -> Point:
    xs, ys = zip(*stretch, strict=True)
    return sum(xs) / len(stretch), sum(ys) / len(stretch)


def _chart(curves: Curves, *, x: str, y: str, last_x: int) -> Chart:
    axis = {"type": "value", "nameLocation": "middle", "nameTextStyle": {"align": "center"}}
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "valueFormatter": "%.3f"},
        "legend": {"top": 0, "left": 0, "icon": "roundRect", "itemWidth": 14, "itemHeight": 6},
        "grid": {"top": 36, "left": 36, "right": 16, "bottom": 28, "containLabel": True},
        # The whole run from the start, so that the curve grows into it instead of the axis moving under it.
        "xAxis": axis | {"name": x, "nameGap": 28, "min": 0, "max": last_x, "minInterval": 1},
        "yAxis": axis | {"name": y, "nameGap": 44, "scale": True},
        "series": [_line(name, curve) for name, curve in curves.items()],
    }


def _line(name: str, curve: list[Point]) -> Chart:
    data = [[x, float(f"{y:.4g}")] for x, y in thin(curve)]
    return {"type": "line", "name": name, "showSymbol": False, "data": data}
