"""All that is known of a run, gathered for its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from core.dataset import revision
from core.dataset.revision import DatasetRevision
from core.errors import TmsError
from core.evaluation.comparison import Comparison
from core.evaluation.image_changes import ImageChanges
from core.registry import comparisons
from core.registry.lineage import lineage
from core.store import Store, runs
from core.store.tables import Checkpoint, Evaluation, Run, RunEvent


@dataclass(frozen=True)
class Facts:
    """What a report is made of.

    Attributes:
        run: The run, ended or not.
        summary: Its outcome, if it succeeded.
        frozen: What it learned from, if that was recorded.
        scores: Of both checkpoints on every set.
        events: Its states and epochs, oldest first.
        candidate: What it made, if it got so far.
        ancestors: The candidate's parents, the nearest first.
        compared: The champion against the candidate, on each set that judged them.
        changes: What the two see differently, image by image.
    """

    run: Run
    summary: Mapping[str, Any] | None
    frozen: DatasetRevision | None
    scores: Sequence[Evaluation]
    events: Sequence[RunEvent]
    candidate: Checkpoint | None
    ancestors: Sequence[Checkpoint]
    compared: Sequence[Comparison]
    changes: Sequence[ImageChanges]

    @property
    def class_names(self) -> Sequence[str]:
        """Ids are positions."""
        return self.frozen.class_names if self.frozen else ()


def gather(store: Store, run_id: str) -> Facts:
    """Gather them.

    Raises:
        NotFound: If there is no such run.
    """
    run = runs.get_row(store, run_id)
    scored = sa.select(Evaluation).where(Evaluation.run_id == run_id).order_by(Evaluation.id)
    with store.database.read() as session:
        scores = list(session.scalars(scored))
        candidate = session.get(Checkpoint, run.checkpoint_id) if run.checkpoint_id else None
    rows = [row for row in comparisons.of_run(store, run_id) if row.baseline_id == run.parent_id]
    return Facts(
        run=run,
        summary=run.summary,
        frozen=_frozen(store, run),
        scores=scores,
        events=runs.events_after(store, run_id, kinds=("status", "epoch")),
        candidate=candidate,
        ancestors=lineage(store, candidate.id)[1:] if candidate else [],
        compared=[comparisons.changes_of(row) for row in rows],
        changes=[change for row in rows for change in _changes(store, row.id)],
    )


def _changes(store: Store, comparison_id: str) -> Sequence[ImageChanges]:
    try:
        return comparisons.images_of(store, comparison_id)
    except TmsError:
        # The report tells what is there.
        return ()


def _frozen(store: Store, run: Run) -> DatasetRevision | None:
    folder = store.settings.dataset_folder(run.id)
    if (folder / revision.FILE_NAME).is_file():
        return DatasetRevision.load(folder)
    try:
        return revision.recorded(store, run.dataset_digest) if run.dataset_digest else None
    except TmsError:
        return None
