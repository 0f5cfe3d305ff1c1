"""The scores of two checkpoints on the same images."""

import sqlalchemy as sa
from pydantic import BaseModel, Field

from core.errors import NothingComparable
from core.registry import checkpoints
from core.store import Store
from core.store.tables import Evaluation


class ScorePair(BaseModel):
    """A figure of both, shares from 0 to 1."""

    name: str
    old: float
    new: float

    @property
    def change(self) -> float:
        """How much the new one is above the old one."""
        return self.new - self.old


class SideBySide(BaseModel):
    """Two checkpoints on one frozen set."""

    set_name: str
    set_digest: str = Field(description="Of the images and boxes on which both were scored.")
    image_count: int
    metrics: list[ScorePair]
    per_class: list[ScorePair] = Field(description="AP50-95 of each class with a box in the set.")


def compare(store: Store, old_id: str, new_id: str) -> list[SideBySide]:
    """The newest scores of two checkpoints on every set that both were scored on.

    Raises:
        NotFound: If one of them does not exist.
        NothingComparable: If there is no such set; figures of different sets are never compared.
    """
    old, new = (_newest_by_digest(store, checkpoints.get(store, id_).id) for id_ in (old_id, new_id))
    if not old.keys() & new.keys():
        raise NothingComparable(
            f"{old_id} and {new_id} were not scored on the same images. A run scores its candidate and the "
            "champion it learned from."
        )
    return [_pair(old[digest], new[digest]) for digest in new if digest in old]


def _newest_by_digest(store: Store, checkpoint_id: str) -> dict[str, Evaluation]:
    query = sa.select(Evaluation).where(Evaluation.checkpoint_id == checkpoint_id).order_by(Evaluation.id)
    with store.database.read() as session:
        return {row.set_digest: row for row in session.scalars(query)}


def _pair(old: Evaluation, new: Evaluation) -> SideBySide:
    classes = [{one["class_name"]: one["ap50_95"] for one in row.per_class} for row in (old, new)]
    return SideBySide(
        set_name=new.set_name,
        set_digest=new.set_digest,
        image_count=new.image_count,
        metrics=_pairs(old.metrics, new.metrics),
        per_class=_pairs(*classes),
    )


def _pairs(old: dict[str, float], new: dict[str, float]) -> list[ScorePair]:
    return [ScorePair(name=name, old=old[name], new=value) for name, value in new.items() if name in old]
