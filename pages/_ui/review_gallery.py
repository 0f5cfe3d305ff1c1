"""The samples of the Review screen as tiles, a page at a time."""

from collections.abc import Sequence

import streamlit as st

from core.errors import TmsError
from core.feedback.samples import count_samples, list_samples
from core.schemas_review import SampleCounts, SampleOrder, SamplePage, SampleSummary
from core.store import Store
from pages._ui import review_bulk, review_export, review_filter
from pages._ui.gallery import Tile, TileBox, gallery
from pages._ui.notes import nothing_here
from pages._ui.pictures import Classes, color_of, dashes_of, picture_of
from pages._ui.words import boxes_in_words, short_id

PAGE = 24
_EVERY_S = 2
_UNKNOWN_SIZE_PX = (4, 3)


def draw(store: Store, class_names: Sequence[str]) -> None:
    """Filters, what can be done to several at once, and the tiles."""
    order = review_filter.wanted()
    counts = count_samples(store, order)
    review_filter.draw(store, counts, class_names)
    cursors = _cursors(order)
    page = list_samples(store, order, limit=PAGE, cursor=cursors[-1] if cursors else None)
    if not page.samples:
        _nothing(order, has_pages_before=bool(cursors))
    else:
        _page(store, page, order, counts, class_names)
        _paging(page, cursors)
    _follow(store, order, cursors[-1] if cursors else None, page)


def _page(
    store: Store, page: SamplePage, order: SampleOrder, counts: SampleCounts, class_names: Sequence[str]
) -> None:
    above = st.container(horizontal=True, vertical_alignment="bottom")
    classes = Classes(class_names)
    selected = gallery(
        [_tile(store, sample, classes) for sample in page.samples],
        key=review_bulk.gallery_key(),
        label="Images with their boxes. Enter opens one, Space selects it.",
        selected=review_bulk.preselected(),
        on_open=open_sample,
    )
    with above:
        st.markdown(f"**{review_filter.in_words(order, counts)}**", width="content")
        review_bulk.draw(store, page.samples, selected, order, counts.matching)
        review_export.draw(store, order, counts)


def open_sample(sample_id: str) -> None:
    """Show one in large; the address then names it."""
    st.query_params["sample"] = sample_id


def _tile(store: Store, sample: SampleSummary, classes: Classes) -> Tile:
    width_px, height_px = sample.width_px or 0, sample.height_px or 0
    if not (width_px and height_px):
        width_px, height_px = _UNKNOWN_SIZE_PX
    name = sample.client_sample_id or short_id(sample.id)
    boxes = classes.drawn(sample.detections)
    named = ", ".join(classes.names[box["class_id"]] for box in boxes)
    status = review_filter.STATUS_WORDS[sample.status]
    return Tile(
        id=sample.id,
        source=_thumbnail(store, sample),
        width_px=width_px,
        height_px=height_px,
        boxes=[TileBox(box["xyxy"], color_of(box["class_id"]), dashes_of(box["class_id"])) for box in boxes],
        caption=name,
        badge=_badge(sample, status),
        label=f"{name}: {status}, {boxes_in_words(len(boxes))}. {named}",
    )


def _thumbnail(store: Store, sample: SampleSummary) -> str:
    if sample.image_sha256 is None:
        return ""
    try:
        return picture_of(store, sample.id, is_thumbnail=True)
    except TmsError:
        # One that is lost must not cost the page; the large view says what is wrong with it.
        return ""


def _badge(sample: SampleSummary, status: str) -> str:
    marks = [status] if sample.status != "pending" else []
    marks += ["Holdout"] if sample.is_holdout else []
    marks += ["⚠"] if sample.warnings else []
    return " · ".join(marks)


def _nothing(order: SampleOrder, *, has_pages_before: bool) -> None:
    if has_pages_before:
        nothing_here("This page is empty now", "What was on it has changed meanwhile.")
        st.button("Back to the first page", on_click=_start_over)
    elif review_filter.is_narrowed(order):
        nothing_here("No image fits these filters", "Clear the filters above, or choose another status.")
    else:
        nothing_here(
            "No feedback yet",
            "Open **Import** above to bring labelled images in, or send them by POST /api/feedback.",
        )


def _cursors(order: SampleOrder) -> list[str]:
    """Where the pages up to this one begin, behind the first; another filter starts at the first again."""
    kept = st.session_state.get("review_pages")
    if kept is None or kept[0] != order:
        kept = st.session_state["review_pages"] = (order, [])
    cursors: list[str] = kept[1]
    return cursors


def _paging(page: SamplePage, cursors: list[str]) -> None:
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        st.button("Previous page", icon=":material/chevron_left:", disabled=not cursors, on_click=_back)
        st.caption(f"Page {len(cursors) + 1}", width="content")
        st.button(
            "Next page",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=page.next_cursor is None,
            on_click=cursors.append,
            args=(page.next_cursor,),
        )


def _back() -> None:
    _, cursors = st.session_state["review_pages"]
    del cursors[-1:]


def _start_over() -> None:
    st.session_state.pop("review_pages", None)


@st.fragment(run_every=_EVERY_S)
def _follow(store: Store, order: SampleOrder, cursor: str | None, drawn: SamplePage) -> None:
    """Draw the screen again once somebody else has changed what is on it."""
    page = list_samples(store, order, limit=PAGE, cursor=cursor)
    if _state(page) != _state(drawn):
        st.rerun()


def _state(page: SamplePage) -> list[tuple[str, int, str | None]]:
    return [(sample.id, sample.revision, sample.thumbnail_sha256) for sample in page.samples]
