"""The images in which two models differ: one in large under a line to move, the others by the page."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.dataset.images import Label, LabelledImage
from core.errors import TmsError
from core.evaluation.detections import Detections
from core.evaluation.image_changes import Difference, ImageChanges
from core.registry import comparisons
from core.registry.changed_images import in_words, labels_of
from core.store import Store
from core.store.tables import Comparison
from pages._ui import compare_pins, compare_reading
from pages._ui.before_after import Look, Mark, Panel, side_by_side, slider
from pages._ui.compare_marks import marks_of
from pages._ui.compare_pictures import name_of, picture_of
from pages._ui.compare_reading import Changed
from pages._ui.notes import nothing_here, problem
from pages._ui.words import count, plain, short_id

PartOf = tuple[str, str]

PAGE = 6
_LARGE_PX, _SMALL_PX = 1280, 640
_WORDS_SHOWN = 3
_LEGEND = "Labels are white and dotted, what old saw is orange and dashed, what new sees is blue."
_PARTS = {"worse": "Got worse", "better": "Got better"}


def draw(store: Store, row: Comparison, class_names: Sequence[str]) -> None:
    """One image in large, then those that got worse or better."""
    st.subheader("What each of them sees", anchor=False)
    try:
        changed = compare_reading.changed(store, row)
    except TmsError as error:
        problem(error.as_dict())
        return
    if not changed.changes:
        nothing_here("Both see the same in every image", "At the deploy threshold nothing sets them apart.")
        return
    change = _opened(changed)
    if change is not None:
        with st.container(border=True):
            _in_large(store, row, changed.images[change.sha256], change, class_names)
    _list(store, row.id, changed, class_names)


def _opened(changed: Changed) -> ImageChanges | None:
    """The image that the address names; the one that got worst, or else best, if it names none."""
    asked = st.query_params.get("image")
    if asked in changed.changes:
        return changed.changes[asked]
    if asked is not None:
        st.caption("The image that the address names is not among those that changed.")
    return next(iter([*changed.worse, *changed.better]), None)


def _in_large(
    store: Store, row: Comparison, image: LabelledImage, change: ImageChanges, class_names: Sequence[str]
) -> None:
    words = [in_words(one, class_names) for one in change.differences]
    canvas, beside = st.columns([7, 3], gap="medium")
    with beside:
        st.markdown(f"**{plain(name_of(image))}**")
        for line in words:
            st.markdown(f"- {plain(line)}")
        st.caption(_LEGEND + " Drag on the image, or move the line with the arrow keys.")
        if image.sample:
            st.page_link(
                "pages/review.py",
                label="Open in Review",
                icon=":material/rate_review:",
                query_params={"sample": image.sample.sample_id},
            )
    with canvas:
        _with_line(store, row, image, change, class_names)
    wanted = [_wanted(one, image) for one in change.differences if one.harm > 0]
    if wanted:
        reason = f"{'; '.join(words[: len(wanted)])} in {name_of(image)} ({short_id(row.candidate_id)})"
        compare_pins.alike(store, image, wanted, class_names, reason)


def _with_line(
    store: Store, row: Comparison, image: LabelledImage, change: ImageChanges, class_names: Sequence[str]
) -> None:
    picture, scores = picture_of(store, image, _LARGE_PX), comparisons.scores_of(store, row)
    if picture is None:
        return
    if scores is None:
        st.caption("The detections were not kept: only what changed is listed.")
        return
    labels = [Mark(box.xyxy, box.text, "label") for box in labels_of(image, class_names)]
    old, new = (compare_reading.claims(store, score, row.confidence) for score in scores)
    sides = (_seen(old, change.image, "old", class_names), _seen(new, change.image, "new", class_names))
    slider(
        picture,
        *(Panel(title, [*labels, *seen]) for title, seen in zip(("old", "new"), sides, strict=True)),
        key="compare_line",
        label=f"{name_of(image)}: old sees {len(sides[0])}, new sees {len(sides[1])} of {len(labels)} boxes. "
        + "; ".join(in_words(one, class_names) for one in change.differences),
    )


def _seen(claims: Detections, image: int, look: Look, class_names: Sequence[str]) -> list[Mark]:
    first, end = np.searchsorted(claims.image, (image, image + 1))
    return [
        Mark(
            claims.xyxy[at].tolist(),
            f"{class_names[claims.class_id[at]]} {claims.confidence[at]:.2f}",
            look,
        )
        for at in range(first, end)
    ]


def _wanted(difference: Difference, image: LabelledImage) -> Label:
    """What a training image has to show to teach what was lost: the box, or what was claimed for one."""
    claim = difference.new or difference.old
    xyxy = difference.xyxy or (claim.xyxy if claim else (0, 0, image.width_px, image.height_px))
    return Label.from_xyxy(difference.class_id, xyxy, image.width_px, image.height_px)


def _list(store: Store, comparison_id: str, changed: Changed, class_names: Sequence[str]) -> None:
    parts = {"worse": changed.worse, "better": changed.better}
    part = st.radio(
        "Images that",
        list(parts),
        index=0 if changed.worse else 1,
        format_func=lambda name: f"{_PARTS[name]}: {len(parts[name]):,}",
        horizontal=True,
        key="compare_part",
    )
    found = parts[part]
    if not found:
        st.caption("There is none.")
        return
    part_of = (comparison_id, part)
    at = min(_page_of(part_of), (len(found) - 1) // PAGE)
    for start in range(at * PAGE, min(len(found), (at + 1) * PAGE), 2):
        for column, change in zip(st.columns(2, gap="medium"), found[start : start + 2], strict=False):
            with column.container(border=True):
                _card(store, changed.images[change.sha256], change, class_names)
    _paging(part_of, at, len(found))


def _card(store: Store, image: LabelledImage, change: ImageChanges, class_names: Sequence[str]) -> None:
    picture = picture_of(store, image, _SMALL_PX)
    words = [in_words(one, class_names) for one in change.differences]
    more = len(words) - _WORDS_SHOWN
    if picture is not None:
        # What harms is drawn last, over the others.
        marks = [marks_of(one, class_names) for one in reversed(change.differences)]
        old, new = ([mark for sides in marks for mark in sides[side]] for side in (0, 1))
        side_by_side(
            picture,
            [Panel("old", old), Panel("new", new)],
            key=f"pair_{change.sha256}",
            label=f"{name_of(image)}: {'; '.join(words)}",
        )
    st.button(
        plain(name_of(image)),
        key=f"open_{change.sha256}",
        type="tertiary",
        icon=":material/compare:",
        help="Show it in large, above",
        on_click=_open,
        args=(change.sha256,),
    )
    told = "; ".join(words[:_WORDS_SHOWN]) + (f"; and {count(more, 'more change')}" if more > 0 else "")
    st.caption(plain(told))


def _open(sha256: str) -> None:
    st.query_params["image"] = sha256


def _page_of(part: PartOf) -> int:
    pages: dict[PartOf, int] = st.session_state.setdefault("compare_pages", {})
    return pages.get(part, 0)


def _paging(part: PartOf, at: int, total: int) -> None:
    last = (total - 1) // PAGE
    if not last:
        return
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        st.button(
            "Previous images",
            icon=":material/chevron_left:",
            disabled=not at,
            on_click=_turn,
            args=(part, at - 1),
        )
        st.caption(f"Page {at + 1:,} of {last + 1:,}", width="content")
        st.button(
            "More images",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=at == last,
            on_click=_turn,
            args=(part, at + 1),
        )


def _turn(part: PartOf, to: int) -> None:
    st.session_state["compare_pages"][part] = to
