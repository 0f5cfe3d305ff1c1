"""Ways to fine-tune for people who do not want to set fifteen numbers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.schemas import Hyperparameters

PresetName = Literal["quick", "balanced", "thorough"]


class Preset(BaseModel):
    """A set of hyperparameters with a name and a sentence."""

    model_config = ConfigDict(frozen=True)

    name: PresetName
    title: str
    sentence: str = Field(description="When to take it.")
    hyperparameters: Hyperparameters


PRESETS: dict[PresetName, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="quick",
            title="Quick touch-up",
            sentence="Three passes, a little replay: for a handful of corrections, to see soon what they do.",
            hyperparameters=Hyperparameters(epochs=3, train_replay=50),
        ),
        Preset(
            name="balanced",
            title="Balanced",
            sentence="The defaults: what a request to the API gets that sets nothing.",
            hyperparameters=Hyperparameters(),
        ),
        Preset(
            name="thorough",
            title="Thorough",
            sentence="Up to twenty passes with much replay, fewer once the score stops rising: for many "
            "corrections, or another camera.",
            hyperparameters=Hyperparameters(epochs=20, train_replay=200, patience=6),
        ),
    )
}
"""By name, from the shortest to the longest."""
DEFAULT_PRESET = PRESETS["balanced"]
