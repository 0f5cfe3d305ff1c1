"""For tests in which a refusal is one of two good outcomes."""

from collections.abc import Callable
from typing import TypeVar

from core.feedback.reasons import Refusal

Result = TypeVar("Result")


def attempt(function: Callable[[], Result]) -> Result | Refusal:
    """What the function returns, or the refusal it raises."""
    try:
        return function()
    except Refusal as refusal:
        return refusal
