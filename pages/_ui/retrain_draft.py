"""What the form of the Retrain screen says: a preset and what was changed from it.

The address holds it, so that it can be sent on and survives a reload; the session keeps it while other
screens are looked at.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st
from pydantic import ValidationError

from core.presets import DEFAULT_PRESET, PRESETS, Preset, PresetName
from core.schemas import Hyperparameters, RetrainRequest

_PRESET = "preset"
_SESSION = "retrain_draft"
FIELDS = tuple(name for name in RetrainRequest.model_fields if name != "dry_run")
"""What can be set; a preview needs no asking."""


@dataclass(frozen=True)
class Draft:
    """A request in the making: valid at any time."""

    preset: Preset
    changes: Mapping[str, Any]

    @property
    def request(self) -> RetrainRequest:
        """What would be handed in."""
        return RetrainRequest(**(self._preset_values() | self.changes))

    def value(self, name: str) -> Any:
        """What a field is set to."""
        return getattr(self.request, name)

    def before(self, name: str) -> Any:
        """What the preset sets a field to."""
        return getattr(RetrainRequest(**self._preset_values()), name)

    def _preset_values(self) -> dict[str, Any]:
        return self.preset.hyperparameters.model_dump()

    def with_change(self, name: str, value: Any) -> "Draft":
        """The same with another value of a field.

        Raises:
            ValueError: If the value is outside what the field takes; says what it takes.
        """
        valid = _valid(name, value)
        others = {field: kept for field, kept in self.changes.items() if field != name}
        return Draft(self.preset, others if valid == self.before(name) else others | {name: valid})

    def on(self, preset: Preset) -> "Draft":
        """Another preset: its hyperparameters, with the note and the promotion that were chosen."""
        others = self.changes.keys() - Hyperparameters.model_fields
        return Draft(preset, {name: self.changes[name] for name in FIELDS if name in others})


def _valid(name: str, value: Any) -> Any:
    try:
        return getattr(RetrainRequest.model_validate({name: None if value == "" else value}), name)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from error


def open_form() -> None:
    """Take up what the address says, else what this viewer left, and have the address say it."""
    named = {name: st.query_params[name] for name in (_PRESET, *FIELDS) if name in st.query_params}
    keep(_read(named) if named else current())


def current() -> Draft:
    """What the form says."""
    return _read(st.session_state.get(_SESSION, {}))


def _read(named: Mapping[str, Any]) -> Draft:
    """The draft that the names stand for; what is no value of a field is passed over."""
    preset: PresetName = named.get(_PRESET, DEFAULT_PRESET.name)
    draft = Draft(PRESETS.get(preset, DEFAULT_PRESET), {})
    for name in FIELDS:
        if name in named:
            with suppress(ValueError):
                draft = draft.with_change(name, named[name])
    return draft


def keep(draft: Draft) -> None:
    """Write it into the session and the address."""
    named = dict(draft.changes)
    if draft.preset is not DEFAULT_PRESET:
        named[_PRESET] = draft.preset.name
    st.session_state[_SESSION] = named
    address = {name: str(value) for name, value in named.items()}
    if st.query_params.to_dict() != address:
        st.query_params.from_dict(address)
