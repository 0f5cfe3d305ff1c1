"""What is done about each finding: the table's own policy, or the operator's."""

from collections.abc import Mapping
from typing import get_args

from core.config import Settings
from core.errors import InvalidSetting
from core.feedback.reasons import REASONS, Policy


def policies(settings: Settings) -> Mapping[str, Policy]:
    """The policy of every reason code under these settings.

    Raises:
        InvalidSetting: If `TMS_INTAKE_POLICY` names a code or a policy that there is not, or a policy that
            would let in what cannot be used.
    """
    chosen = dict(_chosen(part.strip()) for part in settings.intake_policy.split(",") if part.strip())
    return {code: chosen.get(code, reason.policy) for code, reason in REASONS.items()}


def _chosen(part: str) -> tuple[str, Policy]:
    code, _, policy = (word.strip() for word in part.partition("="))
    if code not in REASONS:
        raise InvalidSetting(f"TMS_INTAKE_POLICY names {code!r}, which docs/feedback.md does not list.")
    if policy not in REASONS[code].policies:
        allowed = ", ".join(REASONS[code].policies)
        known = "" if policy in get_args(Policy) else " It is no policy."
        raise InvalidSetting(f"TMS_INTAKE_POLICY sets {code} to {policy!r}.{known} It may be: {allowed}.")
    return code, policy
