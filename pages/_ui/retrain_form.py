"""The form of the Retrain screen: presets, and every field of the request, drawn from its schema."""

import streamlit as st

from core.presets import PRESETS, PresetName
from core.schemas import Hyperparameters, RetrainRequest
from pages._ui import fields, retrain_draft
from pages._ui.retrain_draft import Draft
from pages._ui.words import MISSING, plain

GROUPS = {
    "What goes in": ("train_replay", "replay_strategy"),
    "How it learns": ("epochs", "batch_size", "image_size", "learning_rate"),
    "What becomes of it": ("promotion", "note"),
}
RARE = (
    "optimizer", "weight_decay", "momentum", "freeze", "patience", "time_budget_s", "blend", "seed", "device",
)  # fmt: skip
_FAULT = "retrain_fault"
_PRESET_KEY = "retrain_preset"


def draw(pool_size: int | None) -> None:
    """The whole form.

    Args:
        pool_size: Images that could be replayed; None where that is not known.
    """
    draft = retrain_draft.current()
    _presets(draft)
    _changed(draft)
    schemas = fields.fields_of(RetrainRequest)
    useful_most = {"train_replay": pool_size}
    for heading, names in GROUPS.items():
        st.subheader(heading, anchor=False)
        for name in names:
            _field(draft, name, schemas[name], useful_most.get(name))
    with st.expander("Rarely changed", icon=":material/tune:"):
        for name in RARE:
            _field(draft, name, schemas[name], None)


def _presets(draft: Draft) -> None:
    st.session_state[_PRESET_KEY] = draft.preset.name
    st.radio(
        "Preset",
        list(PRESETS),
        key=_PRESET_KEY,
        format_func=lambda name: PRESETS[name].title,
        captions=[preset.sentence for preset in PRESETS.values()],
        on_change=_choose_preset,
    )


def _choose_preset() -> None:
    name: PresetName = st.session_state[_PRESET_KEY]
    retrain_draft.keep(retrain_draft.current().on(PRESETS[name]))


def _changed(draft: Draft) -> None:
    changed = [name for name in draft.changes if name in Hyperparameters.model_fields]
    if not changed:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        said = "; ".join(in_words(draft, name) for name in changed)
        st.markdown(f":material/edit: Changed from **{draft.preset.title}**: {said}", width="stretch")
        st.button("Take back", icon=":material/undo:", type="tertiary", on_click=_choose_preset)


def in_words(draft: Draft, name: str) -> str:
    """What a field was in the preset, and what it is now."""
    label = fields.fields_of(RetrainRequest)[name]["title"].lower()
    return f"{label} {_said(draft.before(name))} → {_said(draft.value(name))}"


def _said(value: object) -> str:
    if value is None:
        return MISSING
    return f"{value:g}" if isinstance(value, float) else plain(str(value).replace("_", " "))


def _field(draft: Draft, name: str, schema: fields.Schema, useful_most: int | None) -> None:
    key = _key(name)
    value = draft.value(name)
    shown = "" if value is None and schema["type"] == "string" else value
    # What is set anew is sent anew, and would take back what a viewer has moved on to meanwhile.
    if key not in st.session_state or st.session_state[key] != shown:
        st.session_state[key] = shown
    fields.draw(name, schema, key, _choose, useful_most=useful_most)
    fault = st.session_state.get(_FAULT)
    if fault and fault[0] == name:
        st.error(f"{plain(fault[1])} It stays as it was.", icon=":material/error:")
        del st.session_state[_FAULT]


def _choose(name: str) -> None:
    value = st.session_state[_key(name)]
    try:
        retrain_draft.keep(retrain_draft.current().with_change(name, value))
    except ValueError as error:
        st.session_state[_FAULT] = (name, f"{str(value)!r} is not possible here: {error}.")


def _key(name: str) -> str:
    return f"retrain_{name}"
