"""What a viewer can do with models: promote, roll back, download, export, report."""

from collections.abc import Callable

import streamlit as st

from core.errors import TmsError
from core.registry import checkpoints, ledger, onnx_exports, promotion, publish
from core.registry.checkpoint_views import CheckpointView
from core.registry.ledger import PublishedModel
from core.registry.onnx_exports import OnnxExport
from core.registry.report import render
from core.store import Store
from pages._ui import frame
from pages._ui.notes import problem
from pages._ui.outcome import VERDICTS
from pages._ui.words import points, short_id

_SEEN = "champion_seen"


def roll_back_button(store: Store, live_id: str) -> None:
    """The way back to the champion of before, where there is one."""
    before = ledger.champion_before(store, live_id)
    if before is None:
        st.caption("It is the first champion: there is nothing to go back to.")
        return
    go_back_button(store, live_id, before)


def go_back_button(store: Store, live_id: str, target_id: str) -> None:
    """Make an earlier champion live again, after having said what that does."""
    target, live = short_id(target_id), short_id(live_id)
    with st.popover(f"Roll back to {target}", icon=":material/undo:"):
        st.markdown(f"**Make {target} live again?** It takes the place of {live} at once; {live} is kept.")
        reason = st.text_input("Why", key=f"back_{target_id}", placeholder="misses loose joints since Monday")
        if _for_sure("Roll back", f"back_for_sure_{target_id}", live_id):
            _do(
                lambda: promotion.roll_back(
                    store,
                    expected_champion_id=_seen() or "",
                    actor=frame.actor(),
                    reason=reason,
                    to=target_id,
                ),
                f"{target} is live again.",
            )


def publish_button(store: Store, checkpoint: CheckpointView) -> None:
    """Whichever makes a checkpoint live: promote it, or go back to it; nothing if it is live."""
    live = publish.champion(store)
    if checkpoint.is_live:
        return
    if live is not None and checkpoint.was_live:
        go_back_button(store, live.id, checkpoint.id)
    else:
        promote_button(store, checkpoint, live.id if live else None)


def promote_button(store: Store, checkpoint: CheckpointView, live_id: str | None) -> None:
    """Make a candidate live, after having said what that does; against its verdict only with the word."""
    name, row = short_id(checkpoint.id), checkpoints.get(store, checkpoint.id)
    verdict = promotion.verdict_of(store, row)
    with st.popover("Promote", icon=":material/publish:"):
        instead = f"It takes the place of {short_id(live_id)} at once." if live_id else ""
        st.markdown(f"**Make {name} live?** {instead} Inference services load it next.")
        word = None
        if promotion.needs_override(row, verdict):
            said = f"its verdict: {VERDICTS[verdict]}" if verdict else "no run has judged it"
            st.warning(f"Against this stands {said}.", icon=":material/trending_down:")
            word = st.text_input(f"Type {promotion.OVERRIDE_WORD} to publish it in spite of that", key="word")
        reason = st.text_input("Why", key="promote_why", placeholder="finds the loose joints of unit 7")
        if _for_sure("Promote it", f"promote_for_sure_{checkpoint.id}", live_id):
            _do(
                lambda: promotion.promote(
                    store,
                    checkpoint.id,
                    expected_champion_id=_seen(),
                    actor=frame.actor(),
                    reason=reason,
                    override=word,
                ),
                f"{name} is live.",
            )


def _for_sure(label: str, key: str, live_id: str | None) -> bool:
    """A button that keeps what its viewer saw to be live: by the time it acts something else may be."""
    return st.button(label, key=key, type="primary", on_click=_keep_seen, args=(live_id,))


def _keep_seen(live_id: str | None) -> None:
    st.session_state[_SEEN] = live_id


def _seen() -> str | None:
    seen: str | None = st.session_state[_SEEN]
    return seen


def _do(act: Callable[[], PublishedModel], done: str) -> None:
    try:
        with st.spinner("Another process loads the weights, then they are published …"):
            act()
    except TmsError as error:
        problem(error.as_dict())
        return
    st.toast(done, icon=":material/check_circle:")
    st.rerun()


def files(store: Store, checkpoint: CheckpointView) -> None:
    """Weights, report of the run, and ONNX, as downloads that are read when they are asked for."""
    name = short_id(checkpoint.id)
    row = checkpoints.get(store, checkpoint.id)
    st.download_button(
        "Weights",
        lambda: checkpoints.verified_weights(store, row).read_bytes(),
        file_name=f"{name}.pt",
        mime="application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
    )
    run_id = checkpoint.run_id
    if run_id:
        st.download_button(
            "Report",
            lambda: render(store, run_id),
            file_name=f"{short_id(run_id)}.html",
            mime="text/html",
            icon=":material/description:",
            on_click="ignore",
        )
    if st.button("Export to ONNX", icon=":material/deployed_code:"):
        _export(store, checkpoint.id)
    made = st.session_state.get(_key(checkpoint.id))
    if made:
        _offer_onnx(store, checkpoint.id, made)


def _export(store: Store, checkpoint_id: str) -> None:
    try:
        with st.spinner("Writing ONNX, and comparing what it sees with the weights: about half a minute …"):
            st.session_state[_key(checkpoint_id)] = onnx_exports.export(store, checkpoint_id)
    except TmsError as error:
        problem(error.as_dict())


def _offer_onnx(store: Store, checkpoint_id: str, made: OnnxExport) -> None:
    sameness = "sees the same" if made.agrees else "does not see quite the same"
    worst = points(made.parity.most_confidence_difference)
    st.download_button(
        f"ONNX, {made.image_size} px",
        lambda: onnx_exports.path_of(store, checkpoint_id, made.image_size).read_bytes(),
        file_name=f"{short_id(checkpoint_id)}-{made.image_size}.onnx",
        mime="application/octet-stream",
        icon=":material/download:",
        help=f"It {sameness} as the weights; confidences differ by up to {worst} points.",
        on_click="ignore",
    )


def _key(checkpoint_id: str) -> str:
    return f"onnx_{checkpoint_id}"
