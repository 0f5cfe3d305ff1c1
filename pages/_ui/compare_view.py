"""Two models held against each other: verdict first, then figures, then images."""

import streamlit as st

from core.evaluation.checks import MOST_IMAGES_NEEDED
from core.evaluation.gate import Decision
from core.evaluation.policy import Effect
from core.registry import comparisons, publish, verdicts
from core.registry.checkpoint_views import CheckpointView, get_checkpoint
from core.store import Store
from core.store.tables import Comparison
from pages._ui import compare_figures, compare_images, compare_judge, compare_pins, frame, model_actions
from pages._ui.model_list import link_to_model, state_badge
from pages._ui.notes import nothing_here
from pages._ui.outcome import VERDICT_ICONS
from pages._ui.words import boxes_in_words, count, local_time, moment, plain, short_id

_EVERY_S = 2
_SETS = {"test": "Base test set", "holdout": "Held-out feedback"}
_EFFECTS: dict[Effect, str] = {
    "fine": ":green[:material/check_circle:]",
    "open": ":blue[:material/help:]",
    "fail": ":red[:material/cancel:]",
}


def draw(store: Store, baseline_id: str, candidate_id: str) -> None:
    """The whole screen of two models.

    Raises:
        NotFound: If there is no such model.
    """
    old, new = (get_checkpoint(store, checkpoint_id) for checkpoint_id in (baseline_id, candidate_id))
    _head(store, old, new)
    if old.id == new.id:
        nothing_here("This is one and the same model", "Choose another one: **All comparisons**, above.")
        return
    judged = verdicts.known(store, old.id, new.id)
    if judged is None:
        compare_judge.first(store, old.id, new.id)
    else:
        _verdict(judged.decision, new, old)
        row = _chosen([one for one in judged.comparisons if one.baseline_id == old.id])
        _set_in_words(store, row)
        compare_judge.again(store, old.id, new.id)
        compare_figures.draw(store, row, new.class_names)
        compare_images.draw(store, row, new.class_names)
    _follow(store, old.id, new.id, _state(store, old.id, new.id))


def _head(store: Store, old: CheckpointView, new: CheckpointView) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(f"{short_id(new.id)} against {short_id(old.id)}", anchor=False, width="content")
        if old.id != new.id:
            model_actions.publish_button(store, new)
    with st.container(horizontal=True, gap="large"):
        _side("New", new)
        _side("Old", old)


def _side(title: str, checkpoint: CheckpointView) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
        st.markdown(f"**{title}**", width="content")
        link_to_model(checkpoint.id)
        state_badge(checkpoint)
        made = local_time(moment(checkpoint.created_at), frame.timezone())
        st.caption(f"made {made}", width="content")


def _verdict(decision: Decision, new: CheckpointView, old: CheckpointView) -> None:
    box = {"pass": st.success, "fail": st.warning, "not_enough_evidence": st.info}[decision.verdict]
    box(f"**{sentence(decision, new.id, old.id)}**", icon=VERDICT_ICONS[decision.verdict])
    for finding in decision.findings:
        st.markdown(f"{_EFFECTS[finding.effect]} {plain(finding.sentence)}")


def sentence(decision: Decision, candidate_id: str, baseline_id: str) -> str:
    """The verdict in one sentence, with the images that would bring one where there is none."""
    new, old = short_id(candidate_id), short_id(baseline_id)
    if decision.verdict == "pass":
        return f"{new} is better than {old}: it lost nothing that counts, and what it gained is no chance."
    if decision.verdict == "fail":
        return f"{new} is worse than {old}."
    open_question = f"The images at hand cannot tell whether {new} is better than {old}"
    needed = decision.images_needed
    if needed is None:
        return f"{open_question}."
    if needed >= MOST_IMAGES_NEEDED:
        return f"{open_question}; it would take more than {MOST_IMAGES_NEEDED:,} more."
    return f"{open_question}; about {needed:,} more would."


def _chosen(rows: list[Comparison]) -> Comparison:
    """The comparison on the set that the address names; the base test set if it names none."""
    by_set = {row.set_name: row for row in rows}
    asked = st.query_params.get("set")
    st.session_state["compare_set"] = asked if asked in by_set else verdicts.BASE_TEST
    if len(by_set) > 1:
        st.radio(
            "Images",
            list(by_set),
            key="compare_set",
            format_func=lambda name: _SETS.get(name, name),
            horizontal=True,
            on_change=_choose_set,
        )
    return by_set[st.session_state["compare_set"]]


def _choose_set() -> None:
    st.query_params["set"] = st.session_state["compare_set"]
    st.query_params.pop("image", None)


def _set_in_words(store: Store, row: Comparison) -> None:
    compared = comparisons.changes_of(row)
    independent = f" in {count(compared.group_count, 'independent group')}"
    groups = independent if compared.group_count < compared.image_count else ""
    when = local_time(row.created_at, frame.timezone())
    st.caption(
        f"{_SETS.get(row.set_name, row.set_name)}: both on the same {count(compared.image_count, 'image')}"
        f"{groups} with {boxes_in_words(compared.box_count)}, at {row.image_size} px and a deploy threshold "
        f"of {row.confidence:g}, compared {when}."
    )
    today = store.settings.deploy_confidence
    if row.confidence != today:
        st.warning(
            f"They were compared at a deploy threshold of {row.confidence:g}; today it is {today:g}. "
            "Compare again to see today's.",
            icon=":material/tune:",
        )


State = tuple[str | None, frozenset[str], tuple[str, ...]]


def _state(store: Store, baseline_id: str, candidate_id: str) -> State:
    """What others can change about this screen."""
    live = publish.champion(store)
    rows = comparisons.of_pair(store, baseline_id, candidate_id)
    return live.id if live else None, compare_pins.pinned(store), tuple(row.id for row in rows)


@st.fragment(run_every=_EVERY_S)
def _follow(store: Store, baseline_id: str, candidate_id: str, drawn: State) -> None:
    """Draw the screen again once somebody else has promoted, pinned or compared."""
    if _state(store, baseline_id, candidate_id) != drawn:
        st.rerun()
