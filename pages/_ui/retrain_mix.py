"""A dozen images of the first epoch, drawn as the run draws them."""

from base64 import b64encode
from collections.abc import Sequence

import streamlit as st

from core.dataset.images import LabelledImage
from core.dataset.pictures import small_jpeg
from core.dataset.revision import DatasetRevision
from core.errors import TmsError
from core.feedback.fingerprints import THUMBNAIL_PX
from core.jobs.prospect import glimpse
from core.schemas import SampleRole
from core.store import Store
from pages._ui import leaving
from pages._ui.gallery import Tile, TileBox, gallery
from pages._ui.pictures import color_of, dashes_of
from pages._ui.words import boxes_in_words, count, short_id

_SHOWN = 12
_TILE_PX = 120
_OF_BASE_SET = "base-"
_BADGES: dict[SampleRole, str] = {"feedback": "Feedback", "replay": "Replay"}


def draw(store: Store, epoch: DatasetRevision) -> None:
    """The tiles; a click opens feedback in Review."""
    chosen = glimpse(epoch, _SHOWN)
    if not chosen:
        return
    st.subheader("A look into the first epoch", anchor=False)
    in_epoch = len(epoch.feedback) + epoch.replay_per_epoch
    st.caption(
        f"{len(chosen)} of {count(in_epoch, 'image')}, feedback and replay in proportion. "
        "Another seed draws others."
    )
    gallery(
        [_tile(store, role, image, epoch.class_names) for role, image in chosen],
        key="retrain_mix",
        label="Images of the first epoch with their boxes. Enter opens feedback in Review.",
        selectable=False,
        tile_px=_TILE_PX,
        on_open=_open,
    )


def _open(tile_id: str) -> None:
    """Show feedback in Review; an image of the base set has no screen of its own."""
    if tile_id.startswith(_OF_BASE_SET):
        st.toast("This image is of the base set.", icon=":material/folder:")
    else:
        leaving.leave_for("pages/review.py", sample=tile_id)


def _tile(store: Store, role: SampleRole, image: LabelledImage, class_names: Sequence[str]) -> Tile:
    size = image.width_px, image.height_px
    named = ", ".join(class_names[label.class_id] for label in image.labels)
    name = short_id(image.sample.sample_id) if image.sample else image.path.name
    return Tile(
        id=image.sample.sample_id if image.sample else f"{_OF_BASE_SET}{image.sha256}",
        source=_source(store, image),
        width_px=image.width_px,
        height_px=image.height_px,
        boxes=[
            TileBox(label.xyxy_in(*size), color_of(label.class_id), dashes_of(label.class_id))
            for label in image.labels
        ],
        caption=name,
        badge=_BADGES[role],
        label=f"{_BADGES[role]}: {name}, {boxes_in_words(len(image.labels))}. {named}",
    )


def _source(store: Store, image: LabelledImage) -> str:
    try:
        return _thumbnail(store, image.sha256, image)
    except (TmsError, OSError):
        # One that is lost must not cost the screen; the run says what is wrong with it.
        return ""


@st.cache_data(show_spinner=False, max_entries=500)
def _thumbnail(_store: Store, sha256: str, _image: LabelledImage) -> str:
    """An address that holds the picture itself: a script that is cut short takes away what it lent."""
    del sha256
    small = small_jpeg(_store, _image, THUMBNAIL_PX)
    return f"data:image/jpeg;base64,{b64encode(small).decode()}"
