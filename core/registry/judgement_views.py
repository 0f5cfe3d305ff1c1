"""What was found of two checkpoints, as the doors show it."""

from typing import Literal

from pydantic import BaseModel, Field

from core.evaluation.comparison import Comparison
from core.registry.comparisons import changes_of
from core.registry.verdicts import Judgement
from core.schemas import Verdict


class FindingView(BaseModel):
    """What one check of the gate came to."""

    effect: Literal["fine", "open", "fail"]
    sentence: str
    images_needed: int | None = Field(description="Further images that would close an open question.")


class ComparisonView(Comparison):
    """Both checkpoints on one set, and where the changes image by image are found."""

    id: str


class JudgementView(BaseModel):
    """Two checkpoints held against each other on today's base test set and holdout."""

    verdict: Verdict
    reason: str
    images_needed: int | None
    findings: list[FindingView]
    comparisons: list[ComparisonView]


def view_of(judged: Judgement) -> JudgementView:
    """A judgement for a door."""
    decision = judged.decision
    return JudgementView(
        verdict=decision.verdict,
        reason=decision.reason,
        images_needed=decision.images_needed,
        findings=[
            FindingView(effect=one.effect, sentence=one.sentence, images_needed=one.images_needed)
            for one in decision.findings
        ],
        comparisons=[ComparisonView(id=row.id, **changes_of(row).model_dump()) for row in judged.comparisons],
    )
