"""What was put aside, by reason: the sentence, the image, and what gets it out."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.errors import TmsError
from core.feedback import quarantine
from core.feedback.reasons import REASONS
from core.schemas_review import QuarantinedSample
from core.store import Store
from core.store.tables import Sample
from pages._ui import frame, review_repair
from pages._ui.notes import nothing_here
from pages._ui.pictures import content_of
from pages._ui.review_repair import Meant
from pages._ui.words import ago, count, local_time, moment, plain, short_id

_PAGE = 10
_LOOKED_AT_FOR_CLASSES = 1_000
_REASON = "review_reason"
_SHOWN = "review_quarantine_shown"


def draw(store: Store, class_names: Sequence[str]) -> None:
    """Choose a reason, repair all of it at once, or one after the other."""
    counts = quarantine.count_by_code(store)
    if not counts:
        nothing_here("Nothing was put aside", "Images that cannot be used wait here, each with its reason.")
        return
    code = _reason(counts)
    st.markdown(f"**{REASONS[code].title}**: {count(counts[code], 'image')}")
    st.caption(REASONS[code].repair)
    review_repair.draw(store, Meant("all", code, _posted_classes(store, code)), class_names)
    _images(store, code, class_names)


def _reason(counts: Mapping[str, int]) -> str:
    codes = sorted(counts, key=lambda code: (-counts[code], code))
    if st.session_state.get(_REASON) not in codes:
        st.session_state[_REASON] = codes[0]
    return st.selectbox(
        "Reason",
        codes,
        key=_REASON,
        format_func=lambda code: f"{REASONS[code].title} ({counts[code]:,})",
        on_change=_start_over,
    )


def _start_over() -> None:
    st.session_state.pop(_SHOWN, None)


def _posted_classes(store: Store, code: str) -> list[str]:
    if "map_class" not in REASONS[code].repairs:
        return []
    samples = quarantine.list_quarantined(store, limit=_LOOKED_AT_FOR_CLASSES, code=code)
    return sorted({name for sample in samples for name in _classes_of(sample)})


def _classes_of(sample: Sample) -> set[str]:
    named = ((one.get("class_name"), one.get("class_id")) for one in sample.posted)
    return {str(class_id if name is None else name) for name, class_id in named}


def _images(store: Store, code: str, class_names: Sequence[str]) -> None:
    shown: int = st.session_state.setdefault(_SHOWN, _PAGE)
    samples = quarantine.list_quarantined(store, limit=shown + 1, code=code)
    for sample in samples[:shown]:
        _image(store, sample, class_names)
    if len(samples) > shown:
        st.button("Show more", on_click=_show_more)


def _show_more() -> None:
    st.session_state[_SHOWN] += _PAGE


def _image(store: Store, sample: Sample, class_names: Sequence[str]) -> None:
    shown = quarantine.shown(sample)
    with st.container(border=True):
        picture, told = st.columns([1, 4], vertical_alignment="center")
        with picture:
            _picture(store, shown)
        with told:
            st.markdown(f"**{plain(shown.sample_id or short_id(shown.id))}** {plain(shown.detail)}")
            when = moment(shown.created_at)
            st.caption(
                f"{local_time(when, frame.timezone())}, {ago(when)} · {short_id(shown.batch_id)} · "
                f"{plain(shown.image_url)}"
            )
            review_repair.draw(
                store, Meant(shown.id, shown.code, sorted(_classes_of(sample)), (shown.id,)), class_names
            )
            _open(shown)


def _picture(store: Store, shown: QuarantinedSample) -> None:
    if not shown.can_be_seen:
        st.caption("No image stored")
        return
    try:
        content = content_of(store, shown.id, is_thumbnail=True)
    except TmsError as error:
        st.caption(plain(error.detail))
        return
    st.image(content, width="stretch", alt=f"Image {shown.sample_id or shown.id}")


def _open(shown: QuarantinedSample) -> None:
    label = "Compare with the one known before" if shown.conflicts_with_id else "Show its boxes"
    st.button(
        label,
        key=f"open_{shown.id}",
        icon=":material/open_in_full:",
        type="tertiary",
        disabled=not shown.can_be_seen,
        on_click=st.query_params.update,
        args=({"sample": shown.id},),
    )
