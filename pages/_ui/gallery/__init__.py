"""Images as tiles with their boxes, to open one or to select several.

A Streamlit component without a build step: the files beside this one are what the browser runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from core.store.ids import canonical_digest

_FOLDER = Path(__file__).parent
_HTML = '<div class="gallery" role="listbox" aria-multiselectable="true"></div>'


@dataclass(frozen=True)
class TileBox:
    """A box on a tile: `xyxy` in pixels of the image, CSS colour, lengths of dash and gap if it is dashed."""

    xyxy: Sequence[float]
    color: str
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tile:
    """One image.

    Attributes:
        id: Given back when it is opened or selected.
        source: Address of the picture, of whatever size; empty without one.
        width_px: Width that boxes refer to.
        height_px: Height that boxes refer to.
        boxes: Drawn over the picture.
        caption: Below it.
        badge: On it, if not empty.
        label: What it shows, for those who cannot see it.
    """

    id: str
    source: str
    width_px: int
    height_px: int
    boxes: Sequence[TileBox]
    caption: str
    label: str
    badge: str = ""


def gallery(
    tiles: Sequence[Tile],
    *,
    key: str,
    label: str,
    selected: Sequence[str] = (),
    selectable: bool = True,
    tile_px: int = 190,
    on_open: Callable[[str], None],
) -> list[str]:
    """Draw tiles.

    Args:
        tiles: In the order of the screen.
        key: Of the component on its screen.
        label: What the tiles are, for those who cannot see them.
        selected: Ids that are selected when these tiles first appear.
        selectable: Whether several can be selected.
        tile_px: Least width of a tile.
        on_open: Called with the id of the tile that was opened, before the screen is drawn again.

    Returns:
        Ids of those that are selected.
    """
    shown = [asdict(tile) for tile in tiles]
    document = canonical_digest(shown)

    def opened() -> None:
        if id_ := st.session_state[key].get("opened"):
            on_open(id_)

    result = _component()(
        key=key,
        data={
            "document": document,
            "tiles": shown,
            "selected": list(selected),
            "selectable": selectable,
            "tile_px": tile_px,
            "label": label,
        },
        default={"selection": {"document": document, "ids": list(selected)}},
        on_selection_change=lambda: None,
        on_opened_change=opened,
    )
    selection = result.selection
    return list(selection["ids"] if selection and selection["document"] == document else selected)


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    parts = {name: (_FOLDER / f"gallery.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    return st.components.v2.component("tms_gallery", html=_HTML, **parts)
