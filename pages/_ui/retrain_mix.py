"""A dozen images of the first epoch, drawn as the run draws them."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.dataset.images import LabelledImage
from core.dataset.revision import DatasetRevision
from core.errors import TmsError
from core.feedback.fingerprints import thumbnail_of_file
from core.jobs.prospect import glimpse
from core.schemas import SampleRole
from core.store import Store
from pages._ui.gallery import Tile, TileBox, gallery
from pages._ui.pictures import address_of, color_of, content_of, dashes_of
from pages._ui.words import boxes_in_words, count, short_id

_SHOWN = 12
_TILE_PX = 120
_OPENED = "retrain_opened"
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
        [_tile(store, place, role, image, epoch.class_names) for place, (role, image) in enumerate(chosen)],
        key="retrain_mix",
        label="Images of the first epoch with their boxes. Enter opens feedback in Review.",
        selectable=False,
        tile_px=_TILE_PX,
        on_open=_keep_opened,
    )


def _keep_opened(tile_id: str) -> None:
    st.session_state[_OPENED] = tile_id


def open_what_was_clicked() -> None:
    """Show the feedback of the tile that was clicked; images of the base set have no screen."""
    opened: str = st.session_state.pop(_OPENED, "")
    if opened.startswith("sample-"):
        st.switch_page("pages/review.py", query_params={"sample": opened})
    elif opened:
        st.toast("This image is of the base set.", icon=":material/folder:")


def _tile(
    store: Store, place: int, role: SampleRole, image: LabelledImage, class_names: Sequence[str]
) -> Tile:
    size = image.width_px, image.height_px
    named = ", ".join(class_names[label.class_id] for label in image.labels)
    name = short_id(image.sample.sample_id) if image.sample else image.path.name
    return Tile(
        id=image.sample.sample_id if image.sample else f"base-{image.sha256}",
        source=_source(store, place, image),
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


def _source(store: Store, place: int, image: LabelledImage) -> str:
    try:
        content = (
            content_of(store, image.sample.sample_id, is_thumbnail=True)
            if image.sample
            else _thumbnail(image.sha256, image.path, store.settings.image_max_pixels)
        )
    except TmsError:
        # One that is lost must not cost the screen; the run says what is wrong with it.
        return ""
    return address_of(content, f"retrain-mix-{place}") if content else ""


@st.cache_data(show_spinner=False, max_entries=500)
def _thumbnail(sha256: str, _path: Path, max_pixels: int) -> bytes | None:
    """Of a file of the base set."""
    del sha256
    return thumbnail_of_file(_path, max_pixels)
