"""Gives the samples of the Review screen out as a file."""

from functools import partial

import streamlit as st

from core.config import MIB
from core.errors import TmsError
from core.feedback.exports import ExportFormat, Selection
from core.feedback.samples import list_samples
from core.jobs.exchange import export_samples
from core.schemas_review import SampleCounts, SampleOrder
from core.store import Store
from pages._ui.notes import problem
from pages._ui.words import count

_READY = "review_export"
_AT_ONCE = 500
# What is downloaded passes through the memory of this server.
_MOST = 2_000
_FORMATS: dict[ExportFormat, str] = {"yolo": "YOLO zip", "coco": "COCO zip"}


def draw(store: Store, order: SampleOrder, counts: SampleCounts) -> None:
    """A menu with the formats, and the file once it is made."""
    is_too_many = counts.matching > _MOST
    told = f"At most {_MOST:,} images at once: filter, or ask `GET /api/export`." if is_too_many else None
    with st.popover("Export", icon=":material/download:", disabled=is_too_many, help=told):
        st.markdown(f"{count(counts.matching, 'image')} under these filters, with the newest boxes.")
        st.caption("Images that were put aside, or are not taken in yet, are left out.")
        for format_name, label in _FORMATS.items():
            if st.button(f"Make {label}", key=f"export_{format_name}", icon=":material/folder_zip:"):
                _make(store, order, format_name)
        _offer(order)


def _make(store: Store, order: SampleOrder, format_name: ExportFormat) -> None:
    with st.spinner("Packing the images …"):
        try:
            selection = Selection(sample_ids=tuple(_ids(store, order)) or ("none",))
            made = export_samples(store, selection, format_name)
            content = b"".join(made.chunks)
        except TmsError as error:
            problem(error.as_dict())
            return
    st.session_state[_READY] = (order, made.file_name, made.media_type, content)


def _ids(store: Store, order: SampleOrder) -> list[str]:
    found: list[str] = []
    cursor = None
    ask = partial(list_samples, store, order, limit=_AT_ONCE)
    while True:
        page = ask(cursor=cursor)
        found += [one.id for one in page.samples if one.version is not None and one.status != "quarantined"]
        cursor = page.next_cursor
        if cursor is None:
            return found


def _offer(order: SampleOrder) -> None:
    ready = st.session_state.get(_READY)
    if ready is None or ready[0] != order:
        return
    _, file_name, media_type, content = ready
    st.download_button(
        f"Download {file_name} ({len(content) / MIB:.1f} MiB)",
        content,
        file_name=file_name,
        mime=media_type,
        type="primary",
        icon=":material/download:",
        on_click="ignore",
    )
