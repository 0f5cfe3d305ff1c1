"""One sample in large: its image, what can be done to it, and what was done."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.errors import NotFound
from core.feedback.samples import get_sample
from core.registry.publish import champion
from core.schemas_review import SampleView
from core.store import Store
from pages._ui import keys, review_actions, review_filter, review_history, review_image, review_repair
from pages._ui.notes import problem
from pages._ui.review_actions import Desk
from pages._ui.words import plain, points, short_id

_EVERY_S = 2
_KEYS = (
    "Keys: **a** approve, **r** reject, **o** reopen, **s** save, **u** undo, **n** or **→** next, "
    "**p** or **←** previous."
)
_COLORS_OF_STATUS = {"pending": "blue", "approved": "green", "rejected": "gray", "quarantined": "orange"}


def draw(store: Store, sample_id: str) -> None:
    """The whole screen of one sample."""
    try:
        view = _view_of(store, sample_id)
    except NotFound as error:
        problem(error.as_dict())
        st.button("All images", icon=":material/arrow_back:", on_click=review_actions.leave)
        return
    live = champion(store)
    desk = review_actions.sit_down(store, view, list(live.class_names) if live else [])
    _head(desk)
    image, beside = st.columns([7, 3], gap="medium")
    with beside:
        _notices(desk)
        _decisions(desk)
        _facts(desk)
    with image:
        if view.conflicts_with_id is None:
            review_image.draw(desk)
        else:
            review_history.conflict(store, view, view.conflicts_with_id, desk.class_names)
    review_history.draw(view)
    keys.listen(_keys(desk), key="review_keys")
    _follow(store, view)


def _view_of(store: Store, sample_id: str) -> SampleView:
    live = champion(store)
    within = review_filter.wanted()
    return get_sample(store, sample_id, champion_id=live.id if live else None, within=within)


def _head(desk: Desk) -> None:
    view = desk.view
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All images", icon=":material/arrow_back:", on_click=review_actions.close, args=(desk,))
        _step(desk, "Previous", view.previous_id, ":material/chevron_left:", "p or ←")
        _step(desk, "Next", view.next_id, ":material/chevron_right:", "n or →")
        st.title(plain(view.client_sample_id or short_id(view.id)), anchor=False, width="content")
        status = review_filter.STATUS_WORDS[view.status]
        st.badge(status, color=_COLORS_OF_STATUS[view.status])  # type: ignore[arg-type]
        if view.is_holdout:
            st.badge("Holdout", color="violet", help="Kept for judging, for good; nothing learns from it.")


def _step(desk: Desk, label: str, sample_id: str | None, icon: str, key: str) -> None:
    st.button(
        label,
        icon=icon,
        help=f"Key {key}",
        disabled=sample_id is None,
        on_click=review_actions.go,
        args=(desk, sample_id),
    )


def _keys(desk: Desk) -> dict[str, Callable[[], None]]:
    back = partial(review_actions.go, desk, desk.view.previous_id)
    on = partial(review_actions.go, desk, desk.view.next_id)
    acts: dict[str, Callable[[], None]] = {"p": back, "ArrowLeft": back, "n": on, "ArrowRight": on}
    if desk.is_reviewable:
        acts |= {
            "a": partial(review_actions.decide, desk, "approved"),
            "r": partial(review_actions.decide, desk, "rejected"),
            "o": partial(review_actions.decide, desk, "reopened"),
            "u": partial(review_actions.undo, desk),
            "s": partial(review_actions.save, desk),
        }
    return acts


def _notices(desk: Desk) -> None:
    refused = review_actions.refusal_of(desk.view.id)
    if refused:
        problem(refused)
    if desk.is_stale:
        st.warning(
            f"**Changed meanwhile.** {review_history.newest_step(desk.view)} Your boxes below are not saved "
            "and cannot be any more. Discard them to see what the image has now.",
            icon=":material/group:",
        )
    if desk.view.reason:
        st.warning(f"**Put aside.** {plain(desk.view.reason.detail)}", icon=":material/block:")
        st.caption(plain(desk.view.reason.repair or ""))
    for finding in desk.view.warnings:
        more = f" {plain(finding.repair)}" if finding.repair else ""
        st.warning(f"{plain(finding.detail)}{more}", icon=":material/warning:")


def _decisions(desk: Desk) -> None:
    if desk.view.status == "quarantined":
        review_repair.one(desk.store, desk.view, desk.class_names)
    elif not desk.is_reviewable:
        st.info("It is still being taken in. It can be reviewed in a moment.", icon=":material/hourglass:")
    else:
        _save_row(desk)
        _verdict_row(desk)
        review_actions.ask_why()
        st.caption(_KEYS)


def _save_row(desk: Desk) -> None:
    is_changed = desk.unsaved is not None
    with st.container(horizontal=True):
        st.button(
            "Save boxes",
            type="primary" if is_changed else "secondary",
            icon=":material/save:",
            help="Key s",
            disabled=not is_changed,
            on_click=review_actions.save,
            args=(desk,),
        )
        if is_changed:
            st.button("Discard", icon=":material/delete:", on_click=review_actions.discard)
        if desk.view.status == "pending" and desk.view.prediction:
            st.button(
                "Fill gaps",
                icon=":material/auto_fix:",
                help="Adds what the champion is sure of where nobody drew a box. Such boxes say so.",
                disabled=is_changed,
                on_click=review_actions.fill,
                args=(desk,),
            )


def _verdict_row(desk: Desk) -> None:
    buttons = (
        ("Approve", "a", ":material/check:", "approved", "approved"),
        ("Reject", "r", ":material/close:", "rejected", "rejected"),
        ("Reopen", "o", ":material/undo:", "reopened", "pending"),
    )
    with st.container(horizontal=True):
        for label, key, icon, decision, status in buttons:
            st.button(
                label,
                icon=icon,
                help=f"Key {key}",
                disabled=desk.view.status == status and desk.unsaved is None,
                on_click=review_actions.decide,
                args=(desk, decision),
            )
        st.button(
            "Undo",
            icon=":material/history:",
            help="Key u: takes back the newest step",
            on_click=review_actions.undo,
            args=(desk,),
        )


def _facts(desk: Desk) -> None:
    view = desk.view
    size = f"{view.width_px} × {view.height_px} px" if view.width_px else "size not known yet"
    lines = [
        size,
        f"{short_id(view.batch_id)} by {plain(view.batch.actor)} ({plain(view.batch.source)})",
    ]
    if view.group:
        lines.append(f"of {plain(view.group)}")
    if view.disagreement is not None:
        lines.append(f"disagreement with the champion {points(view.disagreement)} of 100")
    if view.batch.note:
        lines.append(f"note: {plain(view.batch.note)}")
    st.caption(" · ".join(lines))


@st.fragment(run_every=_EVERY_S)
def _follow(store: Store, drawn: SampleView) -> None:
    """Draw the screen again once somebody else has changed the sample."""
    now = _view_of(store, drawn.id)
    if (now.revision, now.status, now.prediction) != (drawn.revision, drawn.status, drawn.prediction):
        st.rerun()
