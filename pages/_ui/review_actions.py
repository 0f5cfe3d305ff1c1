"""What a reviewer does to the sample on the screen. Each act names the revision that he saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import StaleSample, TmsError
from core.feedback import gaps, review
from core.schemas import Detection
from core.schemas_review import Decision, SampleView
from core.store import Store
from pages._ui import box_editor, frame
from pages._ui.pictures import corners
from pages._ui.words import boxes_in_words, plain

EDITOR = "review_editor"
_SEEN = "review_seen"
_REFUSED = "review_refused"
_DISCARDED = "review_discarded"
_WHY = "review_why"
_SAID: dict[Decision, str] = {"approved": "Approved", "rejected": "Rejected", "reopened": "Opened again"}
_CORNERS = ("x_min", "y_min", "x_max", "y_max")

Boxes = list[dict[str, Any]]


@dataclass(frozen=True)
class Desk:
    """A sample in front of a reviewer.

    Attributes:
        store: Where it is.
        view: As it is now.
        seen_revision: As the reviewer saw it; older than `view` while he has drawn boxes and not saved them.
        class_names: Of the live model.
    """

    store: Store
    view: SampleView
    seen_revision: int
    class_names: Sequence[str]

    @property
    def document(self) -> str:
        """Names what is on the canvas."""
        return document_of(self.view.id, self.seen_revision)

    @property
    def unsaved(self) -> Boxes | None:
        """The boxes that were drawn and not saved; None without any."""
        return _unsaved(self.document, self.view)

    @property
    def is_stale(self) -> bool:
        """Whether somebody else changed the sample under unsaved boxes."""
        return self.seen_revision != self.view.revision

    @property
    def is_reviewable(self) -> bool:
        """Whether it can be decided on: it was taken in, and is not in quarantine."""
        return self.view.version is not None and self.view.status != "quarantined"


def document_of(sample_id: str, revision: int) -> str:
    """The name of a sample's boxes at a revision, for the editor; another one once they were discarded."""
    return f"{sample_id}@{revision}#{st.session_state.get(_DISCARDED, 0)}"


def sit_down(store: Store, view: SampleView, class_names: Sequence[str]) -> Desk:
    """Take a sample up: what the reviewer saw stays in force as long as boxes of his are unsaved."""
    seen = st.session_state.get(_SEEN)
    is_kept = seen is not None and seen[0] == view.id and _unsaved(document_of(*seen), view) is not None
    if not is_kept:
        seen = st.session_state[_SEEN] = (view.id, view.revision)
    return Desk(store, view, seen[1], class_names)


def _unsaved(document: str, view: SampleView) -> Boxes | None:
    boxes = box_editor.edited(EDITOR, document)
    if boxes is None:
        return None
    newest = sorted((box.class_id, *corners(box)) for box in view.detections)
    drawn = sorted((box["class_id"], *box["xyxy"]) for box in boxes)
    return None if drawn == newest else boxes


def save(desk: Desk) -> None:
    """Keep the boxes on the canvas as the newest version."""
    boxes = desk.unsaved
    if boxes is None:
        st.toast("Nothing to save: the boxes are as they were.")
    elif _tried(desk, lambda: _save(desk, boxes)):
        st.toast(f"Saved {boxes_in_words(len(boxes))}.", icon=":material/save:")


def _save(desk: Desk, boxes: Boxes) -> int:
    detections = [
        Detection.model_validate(
            {"box": dict(zip(_CORNERS, box["xyxy"], strict=True)), "class_id": box["class_id"]}
        )
        for box in boxes
    ]
    return review.correct(
        desk.store,
        desk.view.id,
        detections,
        class_names=desk.class_names,
        seen_revision=desk.seen_revision,
        actor=frame.actor(),
    )


def decide(desk: Desk, decision: Decision) -> None:
    """Give a verdict; boxes that were drawn are saved first, since they are what was looked at."""
    if _tried(desk, lambda: _decide(desk, decision)):
        st.toast(f"{_SAID[decision]}.", icon=":material/check:")
        st.session_state[_WHY] = ""


def _decide(desk: Desk, decision: Decision) -> int:
    boxes = desk.unsaved
    revision = desk.seen_revision if boxes is None else _save(desk, boxes)
    return review.give_verdict(
        desk.store,
        desk.view.id,
        decision,
        seen_revision=revision,
        actor=frame.actor(),
        reason=str(st.session_state.get(_WHY) or "").strip() or None,
    )


def ask_why() -> None:
    """A field for the reason of a verdict."""
    st.text_input("Why (optional, kept with the verdict)", key=_WHY, max_chars=2_000)


def undo(desk: Desk) -> None:
    """Take the newest step back: first boxes that are not saved, then what is in the history."""
    if desk.unsaved is not None:
        st.toast("Unsaved boxes: take them back with Ctrl+Z on the image, or discard them.")
    elif _tried(
        desk,
        lambda: review.undo(desk.store, desk.view.id, seen_revision=desk.seen_revision, actor=frame.actor()),
    ):
        st.toast("Taken back.", icon=":material/undo:")


def fill(desk: Desk) -> None:
    """Add what the champion is sure of where nobody drew a box."""
    try:
        (filled,) = gaps.fill_gaps(desk.store, [desk.view.id], frame.actor())
    except TmsError as error:
        _refuse(desk, error)
        return
    st.toast(plain(filled.reason) if filled.reason else f"Added {boxes_in_words(filled.added)}.")


def discard() -> None:
    """Forget unsaved boxes, and see the sample as it is now."""
    st.session_state[_DISCARDED] = st.session_state.get(_DISCARDED, 0) + 1
    st.session_state.pop(_REFUSED, None)


def go(desk: Desk, sample_id: str | None) -> None:
    """Open another sample, unless boxes would be lost."""
    if sample_id is None:
        st.toast("That is the end of the list.")
    elif _may_leave(desk):
        st.query_params["sample"] = sample_id


def close(desk: Desk) -> None:
    """Go back to the tiles, unless boxes would be lost."""
    if _may_leave(desk):
        leave()


def leave() -> None:
    """Go back to the tiles."""
    st.query_params.pop("sample", None)


def _may_leave(desk: Desk) -> bool:
    if desk.unsaved is None:
        return True
    st.toast("Save or discard the boxes that you drew, then go on.", icon=":material/warning:")
    return False


def _tried(desk: Desk, act: Callable[[], int]) -> bool:
    try:
        revision = act()
    except TmsError as error:
        _refuse(desk, error)
        return False
    st.session_state[_SEEN] = (desk.view.id, revision)
    st.session_state.pop(_REFUSED, None)
    return True


def _refuse(desk: Desk, error: TmsError) -> None:
    told = error.as_dict()
    if isinstance(error, StaleSample):
        told["detail"] = (
            f"{_who_changed(error.extra)} after you had opened it. Nothing of yours was written, and nothing "
            "of theirs was overwritten. Look at it as it is now, then do again what you still want."
        )
    st.session_state[_REFUSED] = (desk.view.id, told | {"extra": {}})


def _who_changed(extra: dict[str, Any]) -> str:
    if "changed_by" not in extra:
        return "The sample was changed"
    return f"{extra['changed_by']} {extra['change']} this image"


def refusal_of(sample_id: str) -> dict[str, Any] | None:
    """Why the last act on this sample was refused; None if it was not, or another sample was opened."""
    refused = st.session_state.get(_REFUSED)
    return refused[1] if refused and refused[0] == sample_id else None
