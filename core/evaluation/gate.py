"""The rule that turns two scores into a verdict. A pure function: no files, no clock, no chance."""

from dataclasses import dataclass

from core.evaluation.metrics import Score
from core.schemas import Promotion, Verdict


@dataclass(frozen=True)
class Decision:
    """What the gate found.

    Attributes:
        verdict: `pass`, `fail`, or `not_enough_evidence`.
        reason: Why, in words and numbers.
        publishes: Whether the policy lets the candidate go live by itself.
    """

    verdict: Verdict
    reason: str
    publishes: bool


def decide(champion: Score, candidate: Score, *, policy: Promotion, margin: float) -> Decision:
    """Judge a candidate by its plain difference on the base test set.

    Args:
        champion: The live model on the base test set.
        candidate: The new one on the same images.
        policy: `no_regression`, `proven_gain`, or `manual`.
        margin: mAP50-95 that may be lost, 0 to 1.

    Raises:
        ValueError: If the two were scored on different sets.
    """
    if champion.set_digest != candidate.set_digest:
        raise ValueError("the two scores are of different image sets and cannot be compared")
    delta = candidate.map50_95 - champion.map50_95
    figures = (
        f"mAP50-95 {champion.map50_95 * 100:.1f} → {candidate.map50_95 * 100:.1f} "
        f"({delta * 100:+.1f} points) on {champion.image_count} base test images"
    )
    allowed = f"{margin * 100:.1f} points that may be lost"
    if delta < -margin:
        return Decision("fail", f"{figures}: more than the {allowed}.", publishes=False)
    finding = f"{figures}: no loss" if delta >= 0 else f"{figures}: within the {allowed}"
    if policy == "proven_gain":
        reason = f"{finding}, but a difference without an interval proves no gain. A person may promote it."
        return Decision("not_enough_evidence", reason, publishes=False)
    if policy == "manual":
        return Decision("pass", f"{finding}. The policy is manual: a person decides.", publishes=False)
    return Decision("pass", f"{finding}.", publishes=True)
