"""Charts as SVG, without a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

from core.registry.report.markup import Html, element, joined

COLOURS = ("#1f6feb", "#bf5af2", "#d9822b", "#2da44e", "#cf222e")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 240, 56, 12, 12, 34
_TICKS = 4
_ROW_HEIGHT, _LABEL_WIDTH = 26, 190

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start_px + share * (self.end_px - self.start_px), 1)


def line_chart(title: str, lines: Mapping[str, Points], *, x_label: str) -> Html:
    """Lines over a common axis, with a legend; nothing if no line has a point.

    Args:
        title: What is shown.
        lines: Name to points `(x, y)`, in the order of x.
        x_label: What x counts.
    """
    drawn = {name: points for name, points in lines.items() if points}
    if not drawn:
        return Html()
    xs, ys = zip(*(point for points in drawn.values() for point in points), strict=True)
    x = _Scale(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    y = _Scale(min(0.0, *ys), max(ys), _HEIGHT - _BOTTOM, _TOP)
    picture = element(
        "svg",
        *_y_axis(y),
        *_x_axis(x, x_label),
        *(
            _line(points, x, y, colour)
            for points, colour in zip(drawn.values(), cycle(COLOURS), strict=False)
        ),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=title,
    )
    return element("figure", element("figcaption", title), picture, _legend(list(drawn)))


def _y_axis(y: _Scale) -> list[Html]:
    values = [y.low + (y.high - y.low) * step / _TICKS for step in range(_TICKS + 1)]
    return [
        joined(
            [
                element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y(value), y2=y(value), class_="grid"),
                element("text", f"{value:.3g}", x=_LEFT - 6, y=y(value) + 4, text_anchor="end"),
            ]
        )
        for value in values
    ]


def _x_axis(x: _Scale, label: str) -> list[Html]:
    below = _HEIGHT - _BOTTOM + 16
    ends = [(x.low, "start"), (x.high, "end")]
    return [
        *(element("text", f"{value:g}", x=x(value), y=below, text_anchor=anchor) for value, anchor in ends),
        element("text", label, x=(_LEFT + _WIDTH) / 2, y=_HEIGHT - 6, text_anchor="middle"),
    ]


def _line(points: Points, x: _Scale, y: _Scale, colour: str) -> Html:
    if len(points) == 1:
        return element("circle", cx=x(points[0][0]), cy=y(points[0][1]), r=3, fill=colour)
    path = " ".join(f"{x(across)},{y(up)}" for across, up in points)
    return element("polyline", points=path, fill="none", stroke=colour, stroke_width=2)


def _legend(names: Sequence[str]) -> Html:
    return element(
        "p",
        *(
            element("span", "● ", element("span", name, class_="ink"), style=f"color:{colour}")
            for name, colour in zip(names, cycle(COLOURS), strict=False)
        ),
        class_="legend",
    )


def interval_chart(title: str, rows: Sequence[tuple[str, float, float | None, float | None]]) -> Html:
    """Changes with their intervals around a line at zero.

    Args:
        title: What is shown.
        rows: Name, change, and both ends of its interval, if it has one.
    """
    values = [value for row in rows for value in row[1:] if value is not None]
    if not values:
        return Html()
    reach = max(map(abs, values)) or 1.0
    x = _Scale(-reach, reach, _LABEL_WIDTH, _WIDTH - 2 * _RIGHT)
    height = _ROW_HEIGHT * (len(rows) + 1)
    zero = element("line", x1=x(0), x2=x(0), y1=0, y2=height - _ROW_HEIGHT, class_="axis")
    picture = element(
        "svg",
        zero,
        *(_interval(row, x, (number + 0.5) * _ROW_HEIGHT) for number, row in enumerate(rows)),
        *(
            element("text", f"{100 * value:+.1f}", x=x(value), y=height - 8, text_anchor="middle")
            for value in (-reach, reach)
        ),
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_label=title,
    )
    return element("figure", element("figcaption", title), picture)


def _interval(row: tuple[str, float, float | None, float | None], x: _Scale, y_px: float) -> Html:
    name, change, low, high = row
    colour = COLOURS[3] if change >= 0 else COLOURS[4]
    line = None
    if low is not None and high is not None:
        line = element("line", x1=x(low), x2=x(high), y1=y_px, y2=y_px, stroke=colour, stroke_width=3)
    dot = element("circle", cx=x(change), cy=y_px, r=5, fill=colour)
    return joined([element("text", name, x=0, y=y_px + 4), line, dot])
