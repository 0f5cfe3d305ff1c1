"""One checkpoint: where it comes from, what it came to, and what can be done with it."""

import streamlit as st

from core.registry import checkpoints, promotion, publish
from core.registry.checkpoint_views import CheckpointView
from core.registry.lineage import lineage
from core.store import Store
from pages._ui import frame, model_actions
from pages._ui.compare_list import link_to_comparison
from pages._ui.model_list import link_to_model, state_badge
from pages._ui.outcome import VERDICTS
from pages._ui.run_list import link_to
from pages._ui.words import MISSING, count, local_time, moment, plain, short_id


def draw(store: Store, checkpoint: CheckpointView) -> None:
    """The whole screen of one checkpoint."""
    st.title(f"Model {short_id(checkpoint.id).removeprefix('ckpt-')}", anchor=False)
    state_badge(checkpoint)
    _acts(store, checkpoint)
    left, right = st.columns(2, gap="medium")
    with left:
        _facts(store, checkpoint)
    with right:
        _lineage(store, checkpoint)


def _acts(store: Store, checkpoint: CheckpointView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        model_actions.publish_button(store, checkpoint)
        model_actions.files(store, checkpoint)
        _compare(store, checkpoint)


def _compare(store: Store, checkpoint: CheckpointView) -> None:
    live = publish.champion(store)
    if live is not None and not checkpoint.is_live:
        link_to_comparison(checkpoint.id, live.id, "Compare with the champion")
    elif checkpoint.parent_id:
        link_to_comparison(checkpoint.id, checkpoint.parent_id, "Compare with what it was made from")


def _facts(store: Store, checkpoint: CheckpointView) -> None:
    verdict = promotion.verdict_of(store, checkpoints.get(store, checkpoint.id))
    st.subheader("Facts", anchor=False)
    rows = {
        "Made": local_time(moment(checkpoint.created_at), frame.timezone()),
        "Verdict": VERDICTS[verdict] if verdict else MISSING,
        "Learned for": count(checkpoint.epochs, "epoch") if checkpoint.epochs else MISSING,
        "Classes": plain(", ".join(checkpoint.class_names)),
    }
    st.table(
        [{"": name, "Value": value} for name, value in rows.items()], border="horizontal", hide_index=True
    )
    for name, digest in (("sha256", checkpoint.sha256), ("Dataset revision", checkpoint.dataset_digest)):
        if digest:
            st.caption(name)
            st.code(digest, language=None, wrap_lines=True)
    if checkpoint.run_id:
        link_to(checkpoint.run_id, icon=":material/model_training:")


def _lineage(store: Store, checkpoint: CheckpointView) -> None:
    st.subheader("Lineage", anchor=False)
    st.caption("What it was fine-tuned from, back to the baseline.")
    for row in lineage(store, checkpoint.id):
        link_to_model(row.id)
