"""What was done to a sample, by whom and when; and the sample that contradicts it, beside it."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import streamlit as st

from core.errors import TmsError
from core.feedback.samples import get_sample
from core.schemas_review import SampleView
from core.store import Store
from pages._ui import frame
from pages._ui.box_editor import Picture, box_editor
from pages._ui.pictures import Classes, looks, picture_of
from pages._ui.review_filter import STATUS_WORDS
from pages._ui.words import ago, boxes_in_words, local_time, moment, plain, short_id

Step = tuple[int, datetime, str, str]

_DECISIONS = {"approved": "approved it", "rejected": "rejected it", "reopened": "opened it again"}


def draw(view: SampleView) -> None:
    """The steps, newest first."""
    steps = _steps(view)
    if not steps:
        return
    st.markdown("**History**")
    rows = [
        {"When": f"{local_time(when, frame.timezone())} ({ago(when)})", "Who": plain(who), "What": what}
        for _, when, who, what in reversed(steps)
    ]
    st.table(rows, border="horizontal", hide_index=True, alt="What was done to this image, newest first.")


def newest_step(view: SampleView) -> str:
    """The newest step as a sentence."""
    steps = _steps(view)
    if not steps:
        return "Somebody changed it."
    _, when, who, what = steps[-1]
    return f"{plain(who)} {what}, {ago(when)}."


def _steps(view: SampleView) -> list[Step]:
    return sorted([*_versions(view), *_verdicts(view)], key=lambda step: step[0])


def _versions(view: SampleView) -> Iterator[Step]:
    for version in view.versions:
        boxes = boxes_in_words(len(version.detections))
        if version.version == 1:
            what = f"posted it with {boxes}"
        elif version.undoes is not None:
            what = f"took version {version.undoes} back: {boxes} again"
        else:
            what = f"corrected the boxes: {boxes} (version {version.version})"
        yield version.revision, moment(version.created_at), version.author, what


def _verdicts(view: SampleView) -> Iterator[Step]:
    for verdict in view.verdicts:
        undone = ", taking back the verdict before" if verdict.undoes else ""
        why = f": {plain(verdict.reason)}" if verdict.reason else ""
        yield (
            verdict.revision,
            moment(verdict.created_at),
            verdict.actor,
            f"{_DECISIONS[verdict.decision]}{undone}{why}",
        )


def conflict(store: Store, view: SampleView, other_id: str, class_names: Sequence[str]) -> None:
    """A sample and the one with other boxes for the same image, side by side."""
    try:
        other = get_sample(store, other_id)
    except TmsError as error:
        st.caption(plain(error.detail))
        return
    st.markdown("**The same image is known with other boxes**")
    for column, one, title in zip(
        st.columns(2), (view, other), ("This one", "The one known before"), strict=True
    ):
        with column:
            status = STATUS_WORDS[one.status].lower()
            st.caption(f"{title}: {plain(one.client_sample_id or short_id(one.id))}, {status}")
            _still(store, one, class_names)
    st.button(
        "Open the one known before",
        icon=":material/open_in_new:",
        on_click=st.query_params.update,
        args=({"sample": other.id},),
    )


def _still(store: Store, view: SampleView, class_names: Sequence[str]) -> None:
    if not (view.image_sha256 and view.width_px and view.height_px):
        st.info("There is no image to show.")
        return
    try:
        source = picture_of(store, view.id, is_thumbnail=False)
    except TmsError as error:
        st.caption(plain(error.detail))
        return
    classes = Classes(class_names)
    boxes = classes.drawn(view.detections if view.version is not None else view.posted)
    box_editor(
        f"{view.id}@{view.revision}",
        Picture(source, view.width_px, view.height_px),
        boxes,
        looks(classes.names),
        key=f"review_still_{view.id}",
        label=f"Image {view.client_sample_id or view.id} with {boxes_in_words(len(boxes))}",
    )
