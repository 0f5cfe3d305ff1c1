"""The choice of two models, and what was compared lately."""

from collections.abc import Sequence

import streamlit as st

from core.registry import comparisons, publish
from core.registry.checkpoint_views import CheckpointView, get_checkpoint, list_checkpoints
from core.store import Store
from pages._ui import compare_list, compare_pins, frame
from pages._ui.notes import nothing_here
from pages._ui.words import local_time, moment, short_id

_MOST_OFFERED = 100


def draw(store: Store) -> None:
    """Two models to choose, recent comparisons, and what is pinned."""
    offered = list_checkpoints(store, limit=_MOST_OFFERED)
    live = publish.champion(store)
    if live is not None and live.id not in {one.id for one in offered}:
        offered.append(get_checkpoint(store, live.id))
    if not offered:
        nothing_here(
            "There is no model yet",
            "The first fine-tune makes the baseline the champion, and a candidate to hold against it. "
            "Start one, or post feedback.",
        )
    elif len(offered) == 1:
        nothing_here(
            "There is only one model yet",
            "A fine-tune makes a candidate to hold against it. Start one, or post feedback.",
        )
    else:
        _choice(store, offered)
        compare_list.draw(store)
    compare_pins.all_pins(store)


def usual_baseline(store: Store, candidate_id: str) -> str:
    """What a model is held against if nobody says: the champion; if it is that itself, its parent.

    Raises:
        NotFound: If there is no such model.
    """
    candidate, live = get_checkpoint(store, candidate_id), publish.champion(store)
    if live is not None and live.id != candidate_id:
        return live.id
    return candidate.parent_id or candidate_id


def _choice(store: Store, offered: Sequence[CheckpointView]) -> None:
    named = {one.id: _name(one) for one in offered}
    new_id, old_id = _usual(store, list(named))
    with st.container(border=True):
        left, right = st.columns(2, gap="medium")
        baseline_id = left.selectbox(
            "Old: what is known", named, list(named).index(old_id), format_func=named.__getitem__, key="old"
        )
        candidate_id = right.selectbox(
            "New: what is judged", named, list(named).index(new_id), format_func=named.__getitem__, key="new"
        )
        is_same = baseline_id == candidate_id
        st.button(
            "Open comparison",
            type="primary",
            icon=":material/compare:",
            disabled=is_same,
            help="Choose two different models." if is_same else None,
            on_click=st.query_params.update,
            args=({"candidate": candidate_id, "baseline": baseline_id},),
        )


def _usual(store: Store, offered: Sequence[str]) -> tuple[str, str]:
    """The newest candidate that was judged, against the champion; else the pair that was compared last."""
    live = publish.champion(store)
    pairs = [
        pair
        for pair in comparisons.recent_pairs(store, limit=_MOST_OFFERED)
        if pair.candidate_id in offered and pair.baseline_id in offered
    ]
    for pair in pairs:
        if live is not None and pair.candidate_id != live.id:
            return pair.candidate_id, live.id
    if pairs:
        return pairs[0].candidate_id, pairs[0].baseline_id
    old_id = live.id if live else offered[-1]
    return next(one for one in offered if one != old_id), old_id


def _name(checkpoint: CheckpointView) -> str:
    made = local_time(moment(checkpoint.created_at), frame.timezone())
    state = " · live" if checkpoint.is_live else " · was live" if checkpoint.was_live else ""
    return f"{short_id(checkpoint.id)} · made {made}{state}"
