"""What is not documented fails here."""

from core.config import CHECKOUT, DefaultHyperparameters, Settings
from core.feedback.reasons import REASONS

OPERATIONS = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")


def _rows(prefix, model):
    return {f"{prefix}{name.upper()}": field for name, field in model.model_fields.items()}


def test_every_setting_has_a_row_and_every_row_a_setting():
    known = _rows("TMS_", Settings) | _rows("TMS_DEFAULT_", DefaultHyperparameters)
    written = {line.split("`")[1] for line in OPERATIONS.splitlines() if line.startswith("| `TMS_")}
    assert written == set(known)


def test_documented_defaults_are_those_in_force():
    shown = {
        line.split("`")[1]: line.split("|")[2].strip()
        for line in OPERATIONS.splitlines()
        if "| `TMS_" in line
    }
    for name, field in (_rows("TMS_", Settings) | _rows("TMS_DEFAULT_", DefaultHyperparameters)).items():
        if isinstance(field.default, bool | int | float):
            assert float(shown[name]) == float(field.default), name


def test_every_reason_code_is_documented_with_its_repair():
    lines = (CHECKOUT / "docs" / "feedback.md").read_text(encoding="utf-8").splitlines()
    for code, reason in REASONS.items():
        policy = reason.policy + (" *" if len(reason.policies) > 1 else "")
        repairs = ", ".join(reason.repairs) or "–"
        assert f"| `{code}` | {reason.title} | {reason.repair} | {policy} | {repairs} |" in lines
