"""Draws an image with its boxes, and lets a person draw, move, resize, delete and name them.

A Streamlit component without a build step: the files beside this one are what the browser runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

_FOLDER = Path(__file__).parent
_HTML = (
    '<div class="editor"><div class="bar" role="group" aria-label="Class of the box"></div>'
    '<svg class="canvas" tabindex="0" role="application"></svg><div class="hint"></div></div>'
)
_DRAWING = (
    "Drag to draw. A box: drag to move, corners to resize, 1 to 9 names it, arrows nudge it, Delete removes "
    "it, [ and ] select. Ctrl+Z takes back; + and - or Ctrl+wheel zoom, Shift+drag pans, Escape shows the "
    "whole image."
)
_LOOKING = "+ and - or Ctrl+wheel zoom, Shift+drag pans, Escape shows the whole image."

Boxes = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Layer:
    """Boxes that are shown beneath those that can be edited.

    Attributes:
        name: Written at each box.
        color: CSS colour.
        dashes: Lengths of dash and gap on the screen, in pixels.
        boxes: `{"xyxy": [...], "class_id": n}`, some with a `confidence`.
    """

    name: str
    color: str
    dashes: tuple[float, float]
    boxes: Boxes


@dataclass(frozen=True)
class ClassLook:
    """How a class is called and drawn."""

    name: str
    color: str


@dataclass(frozen=True)
class Picture:
    """An image by its address in the browser, and the size in pixels that boxes refer to."""

    source: str
    width_px: int
    height_px: int


def box_editor(
    document: str,
    picture: Picture,
    boxes: Boxes,
    classes: Sequence[ClassLook],
    *,
    key: str,
    label: str,
    layers: Sequence[Layer] = (),
    on_edit: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """Draw an image with its boxes.

    Args:
        document: Names what is shown; while it is the same, what is on the canvas counts, and not `boxes`.
        picture: The image.
        boxes: `{"xyxy": [...], "class_id": n}` in pixels of the image.
        classes: Ids are positions.
        key: Of the component on its screen.
        label: What is shown, for those who cannot see it.
        layers: Further boxes to show.
        on_edit: Called when a box was changed, before the screen is drawn again. Without it, boxes can only
            be looked at.

    Returns:
        The boxes as they are on the canvas.
    """
    result = _component()(
        key=key,
        data={
            "document": document,
            "source": picture.source,
            "width_px": picture.width_px,
            "height_px": picture.height_px,
            "boxes": list(boxes),
            "classes": [asdict(look) for look in classes],
            "layers": [asdict(layer) for layer in layers],
            "readonly": on_edit is None,
            "label": label,
            "hint": _DRAWING if on_edit else _LOOKING,
        },
        default={"edit": {"document": document, "boxes": list(boxes)}},
        on_edit_change=on_edit or (lambda: None),
    )
    edit = result.edit
    return list(edit["boxes"] if edit and edit["document"] == document else boxes)


def edited(key: str, document: str) -> list[dict[str, Any]] | None:
    """The boxes that the browser sent last for this document, or None if it was not edited."""
    edit = (st.session_state.get(key) or {}).get("edit")
    return list(edit["boxes"]) if edit and edit["document"] == document else None


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    parts = {name: (_FOLDER / f"editor.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    return st.components.v2.component("tms_box_editor", html=_HTML, **parts)
