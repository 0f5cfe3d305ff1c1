"""What was done to a sample, step by step: versions of its boxes and verdicts."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.schemas_review import Decision
from core.store.tables import Correction, SampleVerdict


class Change(NamedTuple):
    """One step, as people are told of it; `what` is `corrected` or a decision."""

    revision: int
    what: str
    actor: str
    at: datetime

    @property
    def sentence(self) -> str:
        """Who did what, and when."""
        return f"{self.actor} {self.what} it on {self.at:%Y-%m-%d at %H:%M:%S} UTC."


class History:
    """All versions of a sample's boxes and all verdicts on it, oldest first."""

    def __init__(self, versions: Sequence[Correction], verdicts: Sequence[SampleVerdict]) -> None:
        """Take what `versions_of` and `verdicts_of` give."""
        self.versions, self.verdicts = versions, verdicts

    @classmethod
    def of(cls, session: Session, sample_id: str) -> "History":
        """Read it."""
        return cls(versions_of(session, [sample_id]), verdicts_of(session, [sample_id]))

    def newest(self) -> Change | None:
        """The newest step, intake's own included."""
        corrected = (Change(one.revision, "corrected", one.author, one.created_at) for one in self.versions)
        decided = (Change(one.revision, one.decision, one.actor, one.created_at) for one in self.verdicts)
        return max([*corrected, *decided], default=None)

    def standing(self) -> Correction | SampleVerdict | None:
        """The newest step since intake that neither undoes another nor is undone: what to undo next."""
        steps: list[Correction | SampleVerdict] = [*self._standing_versions(), *self._standing_verdicts()]
        return max(steps, key=lambda step: step.revision, default=None)

    def _standing_versions(self) -> Iterator[Correction]:
        undone = {version.undoes for version in self.versions}
        # The first is what was posted.
        return (one for one in self.versions[1:] if one.undoes is None and one.version not in undone)

    def _standing_verdicts(self) -> Iterator[SampleVerdict]:
        undone = {verdict.undoes for verdict in self.verdicts}
        given = (one for one in self.verdicts if one.revision > 0)
        return (one for one in given if one.undoes is None and one.id not in undone)

    def before_version(self, version: Correction) -> Correction:
        """The version that it replaced; versions are numbered from 1 without a gap."""
        return self.versions[version.version - 2]

    def decision_before(self, verdict: SampleVerdict) -> Decision:
        """What held until a verdict was given."""
        position = self.verdicts.index(verdict)
        return cast(Decision, self.verdicts[position - 1].decision) if position else "reopened"


def versions_of(session: Session, sample_ids: Sequence[str]) -> list[Correction]:
    """All versions of the boxes of these samples, oldest first."""
    query = sa.select(Correction).where(Correction.sample_id.in_(sample_ids))
    return list(session.scalars(query.order_by(Correction.sample_id, Correction.version)))


def verdicts_of(session: Session, sample_ids: Sequence[str]) -> list[SampleVerdict]:
    """All verdicts on these samples, oldest first."""
    query = sa.select(SampleVerdict).where(SampleVerdict.sample_id.in_(sample_ids))
    # By revision, because the clocks of two hosts may differ; by id where intake gave none.
    order = (SampleVerdict.sample_id, SampleVerdict.revision, SampleVerdict.id)
    return list(session.scalars(query.order_by(*order)))
