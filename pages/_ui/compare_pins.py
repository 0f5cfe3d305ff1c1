"""Images that every later run replays: chosen among those that show what got worse, and taken back."""

from collections.abc import Collection, Sequence

import streamlit as st

from core.dataset import pins
from core.dataset.alike import most_alike, replay_pool
from core.dataset.images import Label, LabelledImage
from core.errors import TmsError
from core.registry.changed_images import labels_of
from core.store import Store
from pages._ui import frame
from pages._ui.before_after import Mark, Panel, side_by_side
from pages._ui.compare_pictures import name_of, picture_of
from pages._ui.notes import problem
from pages._ui.words import ago, count, local_time, plain

_OFFERED = 4
_SIDE_PX = 420
_POOL_REMEMBERED_S = 60
_PINS_SHOWN = 20


def pinned(store: Store) -> frozenset[str]:
    """sha256 of all that is pinned."""
    return frozenset(pin.sha256 for pin in pins.pins(store))


def alike(
    store: Store, image: LabelledImage, wanted: Collection[Label], class_names: Sequence[str], reason: str
) -> None:
    """Training images that show the same as one that judges, each with its pin.

    Args:
        store: Where images and pins are.
        image: The one that judges.
        wanted: What got worse in it.
        class_names: Ids are positions.
        reason: Kept with a pin.
    """
    # Opening it reads the base set: nothing is read for it while it is closed.
    with st.expander(
        "Training images that show the same", key="alike_open", on_change="rerun", icon=":material/push_pin:"
    ) as expander:
        if expander.open:
            _offered(store, image, wanted, class_names, reason)


def _offered(
    store: Store, image: LabelledImage, wanted: Collection[Label], class_names: Sequence[str], reason: str
) -> None:
    st.caption(
        "This image judges, so nothing may learn from it. Pin training images instead: every later run then "
        "replays them in each epoch."
    )
    try:
        pool = _pool(store, tuple(class_names))
    except TmsError as error:
        problem(error.as_dict())
        return
    found = most_alike(pool, wanted, image.group, _OFFERED)
    if not found:
        st.caption("No training image has a box of these classes. Post such images as feedback.")
        return
    known = pinned(store)
    for column, one in zip(st.columns(_OFFERED), found, strict=False):
        with column:
            _one(store, one, class_names, reason, is_pinned=one.sha256 in known)


@st.cache_resource(ttl=_POOL_REMEMBERED_S, max_entries=2, show_spinner="Looking through the replay pool …")
def _pool(_store: Store, class_names: tuple[str, ...]) -> list[LabelledImage]:
    return replay_pool(_store, class_names)


def _one(
    store: Store, image: LabelledImage, class_names: Sequence[str], reason: str, *, is_pinned: bool
) -> None:
    picture = picture_of(store, image, _SIDE_PX)
    if picture is not None:
        labels = [Mark(box.xyxy, box.text, box.look) for box in labels_of(image, class_names)]
        named = ", ".join(sorted({mark.text for mark in labels}))
        side_by_side(
            picture,
            [Panel(name_of(image), labels)],
            key=f"alike_{image.sha256}",
            label=f"A training image with {named}",
        )
    if is_pinned:
        _unpin_button(store, image.sha256)
        return
    st.button(
        "Pin to replay",
        key=f"pin_{image.sha256}",
        icon=":material/push_pin:",
        on_click=_pin,
        args=(store, image.sha256, reason),
    )


def _unpin_button(store: Store, sha256: str) -> None:
    st.button(
        "Unpin",
        key=f"unpin_{sha256}",
        type="primary",
        icon=":material/keep_off:",
        help="From the next run on it is replayed only by chance.",
        on_click=_unpin,
        args=(store, sha256),
    )


def _pin(store: Store, sha256: str, reason: str) -> None:
    try:
        pins.pin(store, sha256, actor=frame.actor(), reason=reason)
    except TmsError as error:
        st.toast(plain(error.detail), icon=":material/error:")


def _unpin(store: Store, sha256: str) -> None:
    pins.unpin(store, sha256)


def all_pins(store: Store) -> None:
    """Whatever is pinned, by whom and why; nothing where nothing is."""
    rows = pins.pins(store)
    if not rows:
        return
    st.subheader(f"Pinned to replay: {count(len(rows), 'image')}", anchor=False)
    for row in rows[:_PINS_SHOWN]:
        what, unpin = st.columns([8, 1], vertical_alignment="center")
        when = f"{local_time(row.created_at, frame.timezone())}, {ago(row.created_at)}"
        why = f": {plain(row.reason)}" if row.reason else ""
        what.markdown(f"`{row.sha256[:12]}` · {when} · {plain(row.actor)}{why}")
        with unpin:
            _unpin_button(store, row.sha256)
    if len(rows) > _PINS_SHOWN:
        st.caption(f"and {len(rows) - _PINS_SHOWN:,} older ones")
