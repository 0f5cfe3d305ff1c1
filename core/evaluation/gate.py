"""The rule that turns comparisons into a verdict. A pure function: no files, no clock, no chance.

docs/judging.md tells the rule in full, and why it is as it is.
"""

from dataclasses import dataclass

from core.evaluation.checks import (
    check_base_test,
    check_classes,
    check_decay,
    check_holdout,
    check_recall_floors,
)
from core.evaluation.coco import require_one_digest
from core.evaluation.policy import Evidence, Finding, Policy
from core.schemas import Verdict

_CHECKS = (check_base_test, check_holdout, check_classes, check_recall_floors, check_decay)
_WORST_FIRST = {"fail": 0, "open": 1, "fine": 2}


@dataclass(frozen=True)
class Decision:
    """What the gate found.

    Attributes:
        verdict: `pass`, `fail`, or `not_enough_evidence`.
        findings: What each check came to, the worst first.
        publishes: Whether the policy lets the candidate go live by itself.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    publishes: bool

    @property
    def reason(self) -> str:
        """All findings, in words and numbers."""
        return " ".join(finding.sentence for finding in self.findings)

    @property
    def images_needed(self) -> int | None:
        """Further images that would bring a verdict, where more images would."""
        return max(
            (one.images_needed for one in self.findings if one.images_needed is not None), default=None
        )


def decide(evidence: Evidence, policy: Policy) -> Decision:
    """Judge a candidate: one `fail` is a `fail`; else one open question is `not_enough_evidence`.

    The policy decides what that leads to. `proven_gain` publishes what passes. `no_regression` publishes
    unless a loss beyond what is allowed was seen, be it chance: a small base test set would else block all.
    `manual` publishes nothing.

    Raises:
        DifferentSets: If an ancestor was compared on another base test set.
    """
    require_one_digest({evidence.base.set_digest, *(one.set_digest for one in evidence.ancestors.values())})
    findings = [finding for check in _CHECKS for finding in check(evidence, policy)]
    verdict = _verdict(findings)
    publishes = {
        "no_regression": not any(finding.is_loss for finding in findings),
        "proven_gain": verdict == "pass",
        "manual": False,
    }
    findings.sort(key=lambda finding: (_WORST_FIRST[finding.effect], not finding.is_loss))
    return Decision(verdict, tuple(findings), publishes[policy.promotion])


def _verdict(findings: list[Finding]) -> Verdict:
    effects = {finding.effect for finding in findings}
    if "fail" in effects:
        return "fail"
    return "not_enough_evidence" if "open" in effects else "pass"
