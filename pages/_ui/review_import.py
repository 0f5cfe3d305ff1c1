"""Brings labelled images in: files, a look at what is in them, a class for each name, and progress."""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.errors import TmsError
from core.feedback.imports.inspection import ImportedClass, ImportReport, Progress
from core.jobs.exchange import import_batch
from core.schemas import ImportOptions
from core.store import Store
from pages._ui import frame
from pages._ui.notes import problem
from pages._ui.words import boxes_in_words, count, plain

_LOOKED_AT = "review_import_report"
_DONE = "review_import_done"
_ROUND = "review_import_round"
_LEFT_OUT = "Leave its boxes out"
_WHY = {
    "chosen": "chosen",
    "remembered": "as in an earlier import",
    "same": "same name",
    "alike": "nearly the same name",
    "unknown": "not known: choose one",
}
_TYPES = ["zip", "jpg", "jpeg", "png", "tif", "tiff", "bmp", "webp", "txt", "yaml", "yml", "json", "xml"]
_FORMATS = {"yolo": "YOLO", "coco": "COCO", "label_studio": "Label Studio", "cvat": "CVAT"}


def draw(store: Store, class_names: Sequence[str]) -> None:
    """The whole way, top to bottom."""
    _tell_done()
    st.caption(
        "A zip of images and labels, or the single files: YOLO, COCO JSON, Label Studio JSON or CVAT for "
        "images. The format is recognised by the content. Nothing is taken in before you saw what is in it."
    )
    files = st.file_uploader(
        "Labelled images",
        type=_TYPES,
        accept_multiple_files=True,
        key=f"review_files_{st.session_state.get(_ROUND, 0)}",
    )
    if not files:
        return
    report = _looked_at(store, files)
    if report is not None:
        _what_is_in_it(report)
        mapping = _mapping(report.classes, class_names)
        _take_in(store, files, report, mapping)


def _looked_at(store: Store, files: list[UploadedFile]) -> ImportReport | None:
    """What the files hold; they are read once, not whenever the screen is drawn."""
    ids = [file.file_id for file in files]
    kept = st.session_state.get(_LOOKED_AT)
    if kept is None or kept[0] != ids:
        report = _tried(store, files, ImportOptions(dry_run=True))
        if report is None:
            return None
        kept = st.session_state[_LOOKED_AT] = (ids, report)
    found: ImportReport = kept[1]
    return found


def _tried(store: Store, files: list[UploadedFile], options: ImportOptions) -> ImportReport | None:
    bar = st.progress(0.0, "Reading the files")
    sources: list[tuple[str, Any]] = [(file.name, file) for file in files]
    try:
        for file in files:
            file.seek(0)
        return import_batch(store, sources, options, actor=frame.actor(), on_progress=_progress_on(bar))
    except TmsError as error:
        problem(error.as_dict() | {"extra": {}})
        return None
    finally:
        bar.empty()


def _progress_on(bar: Any) -> Progress:
    shown_percent = -1

    def tell(phase: str, done: int, total: int) -> None:
        nonlocal shown_percent
        percent = 100 * done // max(total, 1)
        # A message for each of ten thousand images would take longer than reading them.
        if percent != shown_percent:
            shown_percent = percent
            bar.progress(percent, f"{phase}: {done:,} of {total:,}")

    return tell


def _what_is_in_it(report: ImportReport) -> None:
    boxes = boxes_in_words(sum(one.boxes for one in report.classes))
    st.markdown(f"**{_FORMATS[report.format]}: {count(report.images, 'image')} with {boxes}.**")
    if report.problem_count:
        with st.expander(
            f"{report.problem_count:,} findings; {report.images_left_out:,} images are left out"
        ):
            rows = [
                {
                    "File": plain(one.file),
                    "Where": plain(one.place or ""),
                    "What": plain(one.detail),
                    "What to do": plain(one.repair),
                }
                for one in report.problems
            ]
            st.table(rows, border="horizontal", hide_index=True, alt="What is wrong in the import")


def _mapping(classes: Sequence[ImportedClass], class_names: Sequence[str]) -> dict[str, str | None] | None:
    """The live class for each name of the import; None as long as one is missing."""
    if not classes:
        return {}
    st.markdown("**Which class is which?**")
    chosen = {one.name: _choice(number, one, class_names) for number, one in enumerate(classes)}
    if None in chosen.values():
        return None
    return {name: None if live == _LEFT_OUT else live for name, live in chosen.items()}


def _choice(number: int, one: ImportedClass, class_names: Sequence[str]) -> str | None:
    name, choice = st.columns([2, 3], vertical_alignment="center")
    name.markdown(f"{plain(one.name)} :small[({boxes_in_words(one.boxes)}, {_WHY[one.why]})]")
    options = [*class_names, _LEFT_OUT]
    known = one.live_name if one.why != "unknown" else None
    index = options.index(known or _LEFT_OUT) if one.why != "unknown" else None
    return choice.selectbox(
        f"Class of the live model for {plain(one.name)}",
        options,
        index=index,
        key=f"review_import_class_{st.session_state.get(_ROUND, 0)}_{number}_{one.name}",
        placeholder="Choose a class",
        label_visibility="collapsed",
    )


def _take_in(
    store: Store, files: list[UploadedFile], report: ImportReport, mapping: dict[str, str | None] | None
) -> None:
    trusted = st.checkbox(
        "Approve what passes intake",
        help="Else each image waits for a look at it, which is the safe way.",
        key="review_import_trusted",
    )
    note = st.text_input("Note (optional, kept with the batch)", key="review_import_note", max_chars=2_000)
    if mapping is None:
        st.caption("Choose a class for each name, or leave its boxes out; then they can be taken in.")
    label = f"Import {count(report.images, 'image')}"
    is_ready = mapping is not None and report.images > 0
    if st.button(label, type="primary", icon=":material/upload:", disabled=not is_ready):
        options = ImportOptions(mapping=mapping or {}, trusted=trusted, note=note.strip() or None)
        done = _tried(store, files, options)
        if done is not None:
            st.session_state[_DONE] = done
            st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
            st.rerun()


def _tell_done() -> None:
    done: ImportReport | None = st.session_state.pop(_DONE, None)
    if done is not None:
        st.success(
            f"**Imported {count(done.images, 'image')} with {boxes_in_words(done.boxes)}.** A worker takes "
            "them in now; then they wait for review.",
            icon=":material/check:",
        )
        st.button(
            "Show this batch",
            icon=":material/photo_library:",
            on_click=_show_batch,
            args=(done.batch_id,),
        )


def _show_batch(batch_id: str) -> None:
    st.query_params.from_dict({"batch_id": batch_id})
