"""The presets: each a whole set of hyperparameters, the default one changing nothing."""

from core.presets import DEFAULT_PRESET, PRESETS
from core.schemas import Hyperparameters


def test_the_default_preset_is_the_defaults_of_the_schema():
    assert DEFAULT_PRESET.hyperparameters == Hyperparameters()
    assert PRESETS[DEFAULT_PRESET.name] is DEFAULT_PRESET


def test_presets_are_called_by_their_names_and_go_from_short_to_long():
    assert [preset.name for preset in PRESETS.values()] == list(PRESETS) == ["quick", "balanced", "thorough"]
    epochs = [preset.hyperparameters.epochs for preset in PRESETS.values()]
    assert epochs == sorted(set(epochs))


def test_each_says_in_one_sentence_when_to_take_it():
    for preset in PRESETS.values():
        assert preset.sentence.endswith(".")
        assert ". " not in preset.sentence


def test_the_others_replay_against_forgetting():
    assert PRESETS["quick"].hyperparameters.train_replay > 0
    assert PRESETS["thorough"].hyperparameters.train_replay > PRESETS["quick"].hyperparameters.train_replay
