"""Images of frozen sets as the browser gets them."""

import streamlit as st

from core.dataset.images import LabelledImage
from core.errors import TmsError
from core.store import Store
from pages._ui import compare_reading
from pages._ui.box_editor import Picture
from pages._ui.pictures import served
from pages._ui.words import short_id


def picture_of(store: Store, image: LabelledImage, side_px: int) -> Picture | None:
    """An image for a component; where it cannot be had, that is said in its place."""
    try:
        content = compare_reading.jpeg(store, image, side_px)
    except (TmsError, OSError):
        st.caption("This image is not on this host any more.")
        return None
    return Picture(served(content, f"{image.sha256}-{side_px}"), image.width_px, image.height_px)


def name_of(image: LabelledImage) -> str:
    """What a person calls it: the file of the base set, or the sample."""
    return short_id(image.sample.sample_id) if image.sample else image.path.name
