"""The image of a sample with its layers of boxes: the newest, those that were posted, the champion's."""

import streamlit as st

from core.errors import TmsError
from core.schemas_review import SampleView
from pages._ui.box_editor import Layer, Picture, box_editor
from pages._ui.notes import problem
from pages._ui.pictures import Classes, looks, picture_of
from pages._ui.review_actions import EDITOR, Desk

_NEWEST, _POSTED, _CHAMPION = "Newest", "Posted", "Champion"
_POSTED_LOOK = ("#FFFFFF", (8.0, 4.0))
_CHAMPION_LOOK = ("#FF9DF2", (2.0, 3.0))


def draw(desk: Desk) -> None:
    """The image, with those layers that are ticked; the newest boxes can be edited."""
    view, classes = desk.view, Classes(desk.class_names)
    if view.image_sha256 is None or not (view.width_px and view.height_px):
        st.info("There is no image to show: it was not fetched yet, or could not be read.")
        return
    try:
        source = picture_of(desk.store, view.id, is_thumbnail=False)
    except TmsError as error:
        problem(error.as_dict())
        return
    shown = _shown_layers(view)
    unsaved = desk.unsaved
    boxes = classes.drawn(view.detections) if unsaved is None else unsaved
    layers = _layers(view, classes, shown)
    is_editable = _NEWEST in shown and desk.is_reviewable and bool(desk.class_names)
    box_editor(
        desk.document if _NEWEST in shown else f"{desk.document}-hidden",
        Picture(source, view.width_px, view.height_px),
        boxes if _NEWEST in shown else [],
        looks(classes.names),
        key=EDITOR,
        label=f"Image {view.client_sample_id or view.id} with {len(boxes)} boxes",
        layers=layers,
        on_edit=(lambda: None) if is_editable else None,
    )


def _shown_layers(view: SampleView) -> list[str]:
    offered = [_NEWEST, _POSTED] if view.version is not None else [_POSTED]
    if view.prediction:
        offered.append(_CHAMPION)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Boxes shown", width="content")
        return [one for one in offered if _is_shown(one, is_first=one != _POSTED or len(offered) == 1)]


def _is_shown(layer: str, *, is_first: bool) -> bool:
    # What a screen does not draw Streamlit forgets; this holds from one image to the next.
    kept: dict[str, bool] = st.session_state.setdefault("review_layers", {})
    key = f"review_layer_{layer}"
    st.session_state[key] = kept.get(layer, is_first)
    st.checkbox(layer, key=key, width="content", on_change=_toggle, args=(layer,))
    return kept.get(layer, is_first)


def _toggle(layer: str) -> None:
    st.session_state["review_layers"][layer] = st.session_state[f"review_layer_{layer}"]


def _layers(view: SampleView, classes: Classes, shown: list[str]) -> list[Layer]:
    found = []
    if _POSTED in shown:
        found.append(Layer("posted", *_POSTED_LOOK, classes.drawn(view.posted)))
    if _CHAMPION in shown and view.prediction:
        found.append(Layer("champion", *_CHAMPION_LOOK, classes.drawn(view.prediction.detections)))
    return found
