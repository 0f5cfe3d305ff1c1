"""Shared by the tests of feedback."""

import pytest


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further tries come at once, so that deadlines can be long enough for a busy machine."""
    monkeypatch.setattr("core.feedback.download._PAUSES_S", (0.0, 0.0, 0.0))
