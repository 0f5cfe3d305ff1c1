"""From a checkpoint to the samples that it learned from, and back from an image to the checkpoints.

Weights hold what their ancestors learned, so each answer tells what came directly, and what through which
ancestor. Samples are found by rows. Base images have none: their sha256 is searched for in the manifests of
the dataset revisions, which takes time in proportion to all of them (docs/feedback.md has figures).
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from core.dataset.feedback_set import WENT_IN
from core.errors import NotFound
from core.feedback.addresses import without_secrets
from core.registry.checkpoint_views import WAS_LIVE, get_checkpoint
from core.schemas import SampleRole
from core.store import Store
from core.store.tables import Checkpoint, Correction, DatasetRevision, RevisionSample, Sample


class LearnedSample(BaseModel):
    """A sample that a checkpoint learned from, with the boxes that it had then."""

    sample_id: str
    batch_id: str
    client_sample_id: str | None = Field(description="The caller's own name of the image.")
    image_url: str = Field(description="The address as posted, without its query string.")
    sha256: str = Field(description="Of the image as it is kept.")
    role: SampleRole = Field(description="`feedback`: in every epoch; `replay`: in those that drew it.")
    correction_version: int = Field(description="The version of its boxes; 1 is what was posted.")
    detections: list[dict[str, Any]] = Field(description="`xyxy` in pixels of the upright image, `class_id`.")
    author: str = Field(description="Who drew that version.")
    learned_by: str = Field(description="The checkpoint whose run saw it: this one, or an ancestor.")
    is_direct: bool = Field(description="Whether that is this checkpoint itself.")


class Sighting(BaseModel):
    """A checkpoint that has seen an image, and how."""

    checkpoint_id: str
    created_at: str
    was_live: bool = Field(description="Whether it is the champion, or was it once.")
    role: SampleRole = Field(
        description="`feedback` and `replay`: it learned from the image; `holdout`: it was judged on it."
    )
    seen_by: str = Field(description="The checkpoint whose run saw it: this one, or an ancestor.")
    is_direct: bool = Field(description="Whether that is this checkpoint itself.")
    sample_id: str | None = Field(description="As which sample; none of an image of the base set.")
    correction_version: int | None = Field(description="With which version of its boxes.")


def learned_from(
    store: Store, checkpoint_id: str, *, limit: int = 50, offset: int = 0
) -> list[LearnedSample]:
    """Feedback that is in a checkpoint's weights: what its own run saw, then what each ancestor's did.

    Args:
        store: Where it is kept.
        checkpoint_id: The checkpoint.
        limit: At most this many.
        offset: So many are left out, for paging.

    Raises:
        NotFound: If there is no such checkpoint.
    """
    get_checkpoint(store, checkpoint_id)
    line = _ancestry(checkpoint_id)
    is_version = Correction.version == RevisionSample.correction_version
    query = (
        sa.select(RevisionSample, Sample, Correction, line.c.id)
        .join_from(line, Checkpoint, Checkpoint.id == line.c.id)
        .join(RevisionSample, RevisionSample.dataset_digest == Checkpoint.dataset_digest)
        .join(Sample, Sample.id == RevisionSample.sample_id)
        .join(Correction, sa.and_(Correction.sample_id == Sample.id, is_version))
        .where(WENT_IN)
        .order_by(line.c.generation, Sample.id)
    )
    with store.database.read() as session:
        rows = session.execute(query.limit(limit).offset(offset)).all()
    return [_learned(*row, is_direct=row[-1] == checkpoint_id) for row in rows]


def saw_sample(store: Store, sample_id: str) -> list[Sighting]:
    """The checkpoints that have seen a sample, newest first.

    Raises:
        NotFound: If there is no such sample.
    """
    with store.database.read() as session:
        if session.get(Sample, sample_id) is None:
            raise NotFound(f"There is no sample {sample_id}.")
        return _sightings(session, _seen_as(session, Sample.id == sample_id))


def saw_image(store: Store, sha256: str) -> list[Sighting]:
    """The checkpoints that have seen an image, newest first; none for an image that nobody has seen.

    Args:
        store: Where that is kept.
        sha256: Of the file as it was posted, as it is kept, or as it lies in the base set, in hex.
    """
    sha256 = sha256.lower()
    with store.database.read() as session:
        in_base_set = _drawn_from_base_set(session, sha256)
        is_image = sa.or_(Sample.blob_sha256 == sha256, Sample.source_sha256 == sha256)
        # Of an image that is both, the sample tells more.
        return _sightings(session, in_base_set | _seen_as(session, is_image))


class _Seen(BaseModel):
    """How the run of a checkpoint saw an image."""

    role: SampleRole
    sample_id: str | None = None
    correction_version: int | None = None


def _ancestry(checkpoint_id: str) -> sa.CTE:
    """A checkpoint and its ancestors: `id`, and `generation` from 0."""
    columns = Checkpoint.id, Checkpoint.parent_id
    first = sa.select(*columns, sa.literal(0).label("generation")).where(Checkpoint.id == checkpoint_id)
    line = first.cte("line", recursive=True)
    older = sa.select(*columns, line.c.generation + 1).join(line, Checkpoint.id == line.c.parent_id)
    return line.union_all(older)


def _learned(
    seen: RevisionSample, sample: Sample, boxes: Correction, learned_by: str, *, is_direct: bool
) -> LearnedSample:
    return LearnedSample(
        sample_id=sample.id,
        batch_id=sample.batch_id,
        client_sample_id=sample.client_sample_id,
        image_url=without_secrets(sample.image_url),
        sha256=sample.blob_sha256 or "",
        role=seen.role,
        correction_version=seen.correction_version,
        detections=boxes.detections,
        author=boxes.author,
        learned_by=learned_by,
        is_direct=is_direct,
    )


def _seen_as(session: Session, which: sa.ColumnElement[bool]) -> dict[str, _Seen]:
    """By checkpoint, how its own run saw the samples; of several with the same image the newest."""
    query = (
        sa.select(Checkpoint.id, RevisionSample)
        .join(RevisionSample, RevisionSample.dataset_digest == Checkpoint.dataset_digest)
        .join(Sample, Sample.id == RevisionSample.sample_id)
        .where(which, sa.or_(WENT_IN, RevisionSample.role == "holdout"))
        .order_by(Sample.id)
    )
    return {
        checkpoint_id: _Seen(
            role=seen.role, sample_id=seen.sample_id, correction_version=seen.correction_version
        )
        for checkpoint_id, seen in session.execute(query)
    }


def _drawn_from_base_set(session: Session, sha256: str) -> dict[str, _Seen]:
    """By checkpoint, that an epoch which went into it drew the image as replay."""
    names_it = sa.cast(DatasetRevision.manifest, sa.Text).contains(sha256)
    query = (
        sa.select(Checkpoint.id, Checkpoint.epochs, DatasetRevision.manifest)
        .join(DatasetRevision, DatasetRevision.digest == Checkpoint.dataset_digest)
        .where(names_it)
        .execution_options(yield_per=1)
    )
    return {
        checkpoint_id: _Seen(role="replay")
        for checkpoint_id, epochs, manifest in session.execute(query)
        if any(image[0] == sha256 for drawn in manifest["replay"][:epochs] for image in drawn)
    }


def _sightings(session: Session, seen: dict[str, _Seen]) -> list[Sighting]:
    columns = Checkpoint.id, Checkpoint.parent_id, Checkpoint.created_at, WAS_LIVE.label("was_live")
    made = session.execute(sa.select(*columns).order_by(Checkpoint.id.desc())).all()
    parents = {one.id: one.parent_id for one in made}
    # What an ancestor was judged on is not in its weights.
    learned = {id_ for id_, how in seen.items() if how.role != "holdout"}
    return [
        _sighting(one, seen_by, seen[seen_by])
        for one in made
        for seen_by in sorted(({one.id} & seen.keys()) | _nearest(one.id, parents, learned), reverse=True)
    ]


def _nearest(checkpoint_id: str, parents: dict[str, str | None], which: set[str]) -> set[str]:
    """Of a checkpoint and its ancestors the first that is one of `which`, if any is."""
    nearest: str | None = checkpoint_id
    while nearest is not None and nearest not in which:
        nearest = parents[nearest]
    return {nearest} if nearest else set()


def _sighting(made: sa.Row[str, str | None, datetime, bool], seen_by: str, seen: _Seen) -> Sighting:
    return Sighting(
        checkpoint_id=made.id,
        created_at=made.created_at.isoformat(),
        was_live=made.was_live,
        seen_by=seen_by,
        is_direct=seen_by == made.id,
        **seen.model_dump(),
    )
