"""Charts of two models, old and new; no colour stands alone: dash, symbol or number says it too."""

from collections.abc import Sequence
from typing import Any, Literal

from core.evaluation.figures import Figures
from core.evaluation.intervals import Change
from pages._ui.charts import Chart, Point

Side = Literal["old", "new"]
Direction = Literal["better", "worse", "may be chance"]

ROW_PX = 26
_AXES_PX = 90
_CELL_PX = 34
_LABELS_PX = 170
_MOST_NUMBERED = 16
_RECALL_STEPS = 100

# Blue, vermilion and grey of Okabe and Ito's palette (2008), which colour-blind people tell apart.
_DIRECTIONS: dict[Direction, tuple[str, str, str]] = {
    "better": ("#0072B2", "triangle", "solid"),
    "worse": ("#D55E00", "diamond", "solid"),
    "may be chance": ("#7F8790", "circle", "dashed"),
}
_SIDES: dict[Side, tuple[str, str]] = {"old": ("#D55E00", "dashed"), "new": ("#0072B2", "solid")}
_FILL = ("rgba(86, 180, 233, 0)", "rgba(86, 180, 233, 0.75)")
_INK = {"dark": "#FAFAFA", "light": "#1A1C24"}


def direction(change: Change) -> Direction:
    """Which way a change points, where its 95 % interval leaves chance out."""
    if change.low_95 is not None and change.low_95 > 0:
        return "better"
    if change.high_95 is not None and change.high_95 < 0:
        return "worse"
    return "may be chance"


def intervals(changes: Sequence[tuple[str, Change]]) -> Chart:
    """Each change in points with its 95 % interval, around a line at zero; at least one, all known."""
    series = [part for way in _DIRECTIONS for part in _of_direction(way, changes)]
    series[0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "label": {"show": False},
        "lineStyle": {"type": "solid", "color": "#7F8790"},
        "data": [{"xAxis": 0}],
    }
    return {
        "animation": False,
        "tooltip": {"trigger": "item"},
        "legend": {"top": 0, "left": 0, "data": list(_DIRECTIONS)},
        "grid": {"top": 34, "left": 8, "right": 24, "bottom": 36, "containLabel": True},
        "xAxis": {"type": "value", "name": "Change in points", "nameLocation": "middle", "nameGap": 26},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [name for name, _ in changes],
            "axisTick": {"show": False},
            "axisLabel": {"interval": 0, "width": 240, "overflow": "truncate"},
        },
        "series": series,
    }


def intervals_height_px(rows: int) -> int:
    """How high the chart of so many changes is."""
    return ROW_PX * rows + _AXES_PX


def _of_direction(way: Direction, changes: Sequence[tuple[str, Change]]) -> list[Chart]:
    color, symbol, dash = _DIRECTIONS[way]
    these = [(name, change) for name, change in changes if direction(change) == way]
    line: list[list[Any]] = []
    for name, change in these:
        # A gap behind each interval: one line series draws them all.
        line += [[_points(change.low_95), name], [_points(change.high_95), name], ["-", name]]
    points = [[_points(change.delta), name] for name, change in these]
    look = {"color": color, "width": 3, "type": dash}
    return [
        {"type": "line", "name": way, "showSymbol": False, "silent": True, "color": color, "lineStyle": look,
         "data": line},
        {"type": "scatter", "name": way, "symbol": symbol, "symbolSize": 11, "color": color, "data": points},
    ]  # fmt: skip


def _points(share: float | None) -> float | str:
    return "-" if share is None else round(100 * share, 2)


def precision_recall(old: Figures, new: Figures, class_id: int | None) -> Chart:
    """Both curves at IoU 0.50, of a class or the mean over all; each has a mark at the deploy threshold."""
    series = [
        part
        for side, figures in (("old", old), ("new", new))
        for part in _curve(side, figures, class_id)  # type: ignore[arg-type]
    ]
    axis = {"type": "value", "min": 0, "max": 100, "nameLocation": "middle"}
    return {
        "animation": False,
        "tooltip": {"trigger": "item"},
        "legend": {"top": 0, "left": 0, "data": list(_SIDES), "itemWidth": 28},
        "grid": {"top": 34, "left": 36, "right": 16, "bottom": 28, "containLabel": True},
        "xAxis": axis | {"name": "Recall", "nameGap": 26},
        "yAxis": axis | {"name": "Precision", "nameGap": 36},
        "series": series,
    }


def _curve(side: Side, figures: Figures, class_id: int | None) -> list[Chart]:
    color, dash = _SIDES[side]
    line = {"color": color, "width": 2, "type": dash}
    at_threshold = {"symbol": "circle" if side == "old" else "triangle", "symbolSize": 11}
    return [
        {"type": "line", "name": side, "showSymbol": False, "color": color, "lineStyle": line,
         "data": _mean_curve(figures, class_id)},
        {"type": "scatter", "name": side, "color": color, **at_threshold,
         "data": _working_point(figures, class_id)},
    ]  # fmt: skip


def _mean_curve(figures: Figures, class_id: int | None) -> list[Point]:
    curves = [one.precision for one in figures.curves if class_id in (None, one.class_id)]
    means = [sum(values) / len(values) for values in zip(*curves, strict=True)]
    return [(100 * step / _RECALL_STEPS, round(100 * mean, 1)) for step, mean in enumerate(means)]


def _working_point(figures: Figures, class_id: int | None) -> list[Point]:
    rates = next((one for one in figures.per_class if one.class_id == class_id), figures.overall)
    if rates.recall is None or rates.precision is None:
        return []
    return [(round(100 * rates.recall, 1), round(100 * rates.precision, 1))]


def shown_classes(old: Figures, new: Figures) -> list[int]:
    """Rows of the confusions in which anything is counted; background, the last one, always."""
    both = (old.confusion, new.confusion)
    background = len(old.confusion) - 1
    counted = [
        at for at in range(background) if any(any(of[at]) or any(row[at] for row in of) for of in both)
    ]
    return [*counted, background]


def confusion(figures: Figures, names: Sequence[str], shown: Sequence[int], theme: str | None) -> Chart:
    """What there is against what was claimed; the darker, the larger a cell's share of its row."""
    cells = [
        [x, y, figures.confusion[row][column], _share(figures, row, column)]
        for y, row in enumerate(shown)
        for x, column in enumerate(shown)
    ]
    labels = [names[at] if at < len(names) else "nothing" for at in shown]
    ink = _INK.get(theme or "light", _INK["light"])
    axis = {"type": "category", "data": labels, "nameLocation": "middle", "splitArea": {"show": False}}
    cut = {"interval": 0, "width": 110, "overflow": "truncate"}
    return {
        "animation": False,
        "tooltip": {"trigger": "item"},
        "grid": {"top": 8, "left": 24, "right": 8, "bottom": 28, "containLabel": True},
        "xAxis": axis | {"name": "claimed", "nameGap": 78, "axisLabel": {**cut, "rotate": 40}},
        "yAxis": axis | {"name": "is there", "nameGap": 122, "inverse": True, "axisLabel": cut},
        "visualMap": {"show": False, "dimension": 3, "min": 0, "max": 1, "inRange": {"color": _FILL}},
        "series": [
            {
                "type": "heatmap",
                "name": "boxes",
                "data": cells,
                "label": {"show": len(shown) <= _MOST_NUMBERED, "formatter": "{@[2]}", "color": ink},
                "itemStyle": {"borderColor": "#7F879055", "borderWidth": 1},
            }
        ],
    }


def confusion_height_px(rows: int) -> int:
    """How high the chart of so many rows is."""
    return _CELL_PX * rows + _LABELS_PX


def _share(figures: Figures, row: int, column: int) -> float:
    total = sum(figures.confusion[row])
    return round(figures.confusion[row][column] / total, 3) if total else 0.0
