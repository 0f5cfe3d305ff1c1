"""The `Prefer` header of RFC 7240, as far as it says how long a caller waits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WAIT_SECONDS = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class Preference:
    """How a caller wants a long call answered.

    Attributes:
        wait_s: Seconds to wait for the outcome before 202; None is until it is there.
        applied: The preferences that were honoured, as they are told to the caller.
    """

    wait_s: float | None
    applied: str

    @property
    def headers(self) -> dict[str, str]:
        """`Preference-Applied`, when there is anything to say."""
        return {"Preference-Applied": self.applied} if self.applied else {}


def parse_prefer(lines: Sequence[str]) -> Preference:
    """Read all `Prefer` headers of a request; what is unknown or malformed is ignored, as the RFC asks.

    Args:
        lines: The values of the headers, in order.
    """
    asked = _by_name(",".join(lines).split(","))
    wait = asked.get("wait", "")
    applied = ["respond-async"] if "respond-async" in asked else []
    if _WAIT_SECONDS.fullmatch(wait):
        return Preference(float(wait), ", ".join([*applied, f"wait={wait}"]))
    return Preference(0.0 if applied else None, ", ".join(applied))


def _by_name(preferences: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for preference in preferences:
        name, _, value = preference.partition(";")[0].partition("=")
        # Of a preference that is sent twice, the first counts.
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
