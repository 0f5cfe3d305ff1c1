"""HTML in which text is always escaped: only what this module made is taken as it is."""

import re
from collections.abc import Iterable
from html import escape

_NUMBER = re.compile(r"[+-]?\d[\d.]*|–")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: object, **attributes: object) -> Html:
    """An element; text among its children is escaped, and so is every value of an attribute.

    Args:
        name: Such as `p`.
        children: `Html`, or anything else as text; None is left out.
        attributes: `class_` becomes `class`, `stroke_width` becomes `stroke-width`; None is left out.
    """
    given = {
        key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None
    }
    listed = "".join(f' {key}="{escape(str(value))}"' for key, value in given.items())
    return Html(f"<{name}{listed}>{joined(children)}</{name}>")


def joined(parts: Iterable[object]) -> Html:
    """Parts one after the other; text among them is escaped."""
    return Html(
        "".join(part if isinstance(part, Html) else escape(str(part)) for part in parts if part is not None)
    )


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> Html:
    """A table whose first column names the row."""
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    body = (element("tr", *_cells(list(row))) for row in rows)
    return element("table", element("thead", head), element("tbody", *body))


def _cells(row: list[object]) -> Iterable[Html]:
    return [
        element("th", row[0], scope="row"),
        *(element("td", cell, class_=_look(cell)) for cell in row[1:]),
    ]


def _look(cell: object) -> str | None:
    return "number" if _NUMBER.fullmatch(str(cell)) else None


def section(title: str, *children: object) -> Html:
    """A part of the page under a heading."""
    return element("section", element("h2", title), *children)
