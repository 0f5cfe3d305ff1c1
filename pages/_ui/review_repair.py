"""Repairs of samples in quarantine: of one, or of all with one reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import TmsError
from core.feedback import quarantine
from core.feedback.quarantine import Repair
from core.feedback.reasons import REASONS
from core.jobs import service
from core.schemas_review import BoxView, RepairKind, SampleView
from core.store import Store
from pages._ui import frame
from pages._ui.notes import problem
from pages._ui.words import count, plain

_TOLD = "review_repair_told"
_LEFT_OUT = "Leave its boxes out"
_EXPLAINED = 5
_LABELS: dict[RepairKind, tuple[str, str, str]] = {
    "retry": ("Fetch again", ":material/refresh:", "Asks the image server once more."),
    "clip": (
        "Clip boxes",
        ":material/crop:",
        "Puts corners in order, clips boxes to the image, drops empty ones.",
    ),
    "map_class": ("Map classes", ":material/swap_horiz:", "Renames classes to those of the live model."),
    "accept": ("Take in all the same", ":material/check:", "Needs a reason, which is kept."),
}


@dataclass(frozen=True)
class Meant:
    """Which samples a repair is for: one, or all with a reason code.

    Attributes:
        key: Tells its controls from others on the screen.
        sample_ids: Those, or None for all of the code.
        code: Why they are in quarantine.
        posted_classes: Class names or ids in their boxes.
    """

    key: str
    code: str
    posted_classes: Sequence[str]
    sample_ids: tuple[str, ...] | None = None


def one(store: Store, view: SampleView, class_names: Sequence[str]) -> None:
    """The repairs of one sample."""
    if view.reason is not None:
        meant = Meant(view.id, view.reason.code, classes_in(view.posted), (view.id,))
        draw(store, meant, class_names)


def classes_in(boxes: Sequence[BoxView]) -> list[str]:
    """Class names or ids as they were posted."""
    return sorted({str(box.class_id if box.class_name is None else box.class_name) for box in boxes})


def draw(store: Store, meant: Meant, class_names: Sequence[str]) -> None:
    """A control for each repair that fits the reason."""
    repairs = REASONS[meant.code].repairs
    if not repairs:
        st.caption("Nothing needs to be done, and nothing can be: it is kept as a record.")
    with st.container(horizontal=True):
        for kind in repairs:
            _repair(store, meant, kind, class_names)


def _repair(store: Store, meant: Meant, kind: RepairKind, class_names: Sequence[str]) -> None:
    label, icon, help_ = _LABELS[kind]
    if meant.sample_ids is None:
        label = f"{label}: all"
    if kind in ("retry", "clip"):
        st.button(
            label,
            key=f"{kind}_{meant.key}",
            icon=icon,
            help=help_,
            on_click=_do,
            args=(store, meant, lambda: Repair(kind, frame.actor())),
        )
        return
    with st.popover(label, icon=icon, help=help_, key=f"{kind}_open_{meant.key}"):
        if kind == "accept":
            _accept(store, meant)
        else:
            _map(store, meant, class_names)


def _accept(store: Store, meant: Meant) -> None:
    key = f"accept_why_{meant.key}"
    st.text_input("Why is it taken in all the same?", key=key, max_chars=2_000)
    st.button(
        "Take in",
        key=f"accept_{meant.key}",
        type="primary",
        on_click=_do,
        args=(store, meant, lambda: Repair("accept", frame.actor(), reason=st.session_state.get(key))),
    )


def _map(store: Store, meant: Meant, class_names: Sequence[str]) -> None:
    st.caption("Which class of the live model does each posted class stand for?")
    unknown = [name for name in meant.posted_classes if not _is_known(name, class_names)]
    for name in unknown:
        st.selectbox(
            f"“{plain(name)}” is",
            [*class_names, _LEFT_OUT],
            index=None,
            key=_map_key(meant, name),
            placeholder="Choose a class",
        )
    st.button(
        "Map and take in",
        key=f"map_{meant.key}",
        type="primary",
        on_click=_do,
        args=(store, meant, lambda: Repair("map_class", frame.actor(), class_map=_chosen(meant, unknown))),
    )


def _is_known(posted: str, class_names: Sequence[str]) -> bool:
    return posted in class_names or (posted.isdigit() and int(posted) < len(class_names))


def _map_key(meant: Meant, name: str) -> str:
    return f"map_{meant.key}_{name}"


def _chosen(meant: Meant, posted: Sequence[str]) -> Mapping[str, str | None]:
    chosen = {name: st.session_state.get(_map_key(meant, name)) for name in posted}
    return {name: None if live == _LEFT_OUT else live for name, live in chosen.items() if live is not None}


def _do(store: Store, meant: Meant, how: Callable[[], Repair]) -> None:
    try:
        outcome = quarantine.repair_all(
            store, how(), sample_ids=meant.sample_ids, code=None if meant.sample_ids else meant.code
        )
        service.see_to(store)
    except TmsError as error:
        st.session_state[_TOLD] = error.as_dict()
        return
    st.session_state[_TOLD] = outcome


def tell() -> None:
    """Say once what became of the last repair."""
    told: dict[str, Any] | None = st.session_state.pop(_TOLD, None)
    if told is None:
        return
    if "code" in told:
        problem(told)
        return
    refused = [why for why in told.values() if why is not None]
    done = len(told) - len(refused)
    if done:
        st.success(f"Through intake once more, then to review: {count(done, 'image')}.")
    if refused:
        st.warning(
            "\n".join(
                [
                    f"**{count(len(refused), 'image')} not repaired.**",
                    "",
                    *[f"- {plain(why)}" for why in refused[:_EXPLAINED]],
                ]
            )
        )
