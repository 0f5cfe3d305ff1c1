"""Draws an image with boxes: panels side by side, or old and new over each other with a line to move.

A Streamlit component without a build step: the files beside this one are what the browser runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from pages._ui.box_editor import Picture

_FOLDER = Path(__file__).parent
_HTML = '<div class="panels"></div>'

Look = Literal["label", "old", "new", "harm", "gain"]


@dataclass(frozen=True)
class Mark:
    """A box in pixels of the image, with what is written at it."""

    xyxy: Sequence[float]
    text: str
    look: Look


@dataclass(frozen=True)
class Panel:
    """What is drawn over the image, and what stands above it."""

    title: str
    marks: Sequence[Mark]


def side_by_side(picture: Picture, panels: Sequence[Panel], *, key: str, label: str) -> None:
    """Draw an image once for each panel.

    Args:
        picture: The image.
        panels: From left to right.
        key: Of the component on its screen.
        label: What is shown, for those who cannot see it.
    """
    _draw(picture, panels, key, label, has_line=False)


def slider(picture: Picture, left: Panel, right: Panel, *, key: str, label: str) -> None:
    """Draw an image once, one panel left and the other right of a line that a person moves.

    Args:
        picture: The image.
        left: Shown left of the line.
        right: Shown right of it.
        key: Of the component on its screen.
        label: What is shown, for those who cannot see it.
    """
    _draw(picture, (left, right), key, label, has_line=True)


def _draw(picture: Picture, panels: Sequence[Panel], key: str, label: str, *, has_line: bool) -> None:
    shown = [asdict(panel) for panel in panels]
    data = {"picture": asdict(picture), "panels": shown, "label": label, "has_line": has_line}
    _component()(key=key, data=data)


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    parts = {name: (_FOLDER / f"panels.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    return st.components.v2.component("tms_before_after", html=_HTML, **parts)
