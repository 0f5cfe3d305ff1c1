"""The dataset revision: what one run learns from and is judged on, frozen and named by its digest."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PureWindowsPath
from typing import Any, Self

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from core.dataset.base_set import BaseSet
from core.dataset.images import ImageSet, LabelledImage
from core.dataset.replay import plan_replay
from core.errors import BaseSetInvalid, BlobDamaged, NotFound
from core.schemas import Hyperparameters, SampleRole
from core.store import Store
from core.store.ids import canonical_digest
from core.store.tables import DatasetRevision as DatasetRevisionRow
from core.store.tables import RevisionSample, Sample

FILE_NAME = "revision.json"
_FETCHING_THREADS = 8
_NAMES_SHOWN = 5


class DatasetRevision(BaseModel):
    """What a run learns from and is judged on.

    Attributes:
        class_names: Ids are positions.
        feedback: Approved samples that are new to the champion, without the holdout; every epoch sees all.
        replay_pool: Images that replay may draw from.
        replay_plan: Positions in `replay_pool`, one list an epoch.
        tune: For choosing the epoch; never judged on.
        test: Base test set, for judging.
        holdout: Every feedback sample kept for judging so far, for good.
        replay_strategy: How the plan was made.
        seed: Seed of the plan.
    """

    model_config = ConfigDict(frozen=True)

    class_names: tuple[str, ...]
    feedback: tuple[LabelledImage, ...]
    replay_pool: tuple[LabelledImage, ...]
    replay_plan: tuple[tuple[int, ...], ...]
    tune: ImageSet
    test: ImageSet
    holdout: ImageSet
    replay_strategy: str
    seed: int

    @property
    def replay_per_epoch(self) -> int:
        """Replay images of one epoch."""
        return len(self.replay_plan[0])

    @property
    def train_images(self) -> tuple[LabelledImage, ...]:
        """Feedback, then the replay pool: the images that `epoch_positions` points into."""
        return self.feedback + self.replay_pool

    def epoch_positions(self) -> list[list[int]]:
        """For each epoch, the positions in `train_images` that it sees."""
        feedback = list(range(len(self.feedback)))
        return [feedback + [len(feedback) + position for position in chosen] for chosen in self.replay_plan]

    @property
    def filled_boxes(self) -> int:
        """Boxes the run learns from that nobody drew: the champion added them."""
        replayed = {position for chosen in self.replay_plan for position in chosen}
        learned = [*self.feedback, *(self.replay_pool[position] for position in replayed)]
        return sum(label.is_filled for image in learned for label in image.labels)

    def manifest(self) -> dict[str, Any]:
        """Contents and choices without file places: the same on every host."""
        # Left out while there are none: revisions of before this was counted keep their digest.
        filled = {"filled_boxes": self.filled_boxes} if self.filled_boxes else {}
        return {
            **filled,
            "class_names": list(self.class_names),
            "feedback": [image.identity() for image in self.feedback],
            "replay": [
                [self.replay_pool[position].identity() for position in chosen] for chosen in self.replay_plan
            ],
            "replay_strategy": self.replay_strategy,
            "seed": self.seed,
            "tune": self.tune.digest,
            "test": self.test.digest,
            "holdout": self.holdout.digest,
        }

    @property
    def digest(self) -> str:
        """sha256 of the manifest."""
        return canonical_digest(self.manifest())

    def seen(self) -> Iterator[tuple[SampleRole, LabelledImage, int | None]]:
        """What a checkpoint sees: the role of each image, and the first epoch, from 1, that it is in.

        Of the replay pool only what an epoch draws; the holdout is in none.
        """
        yield from (("feedback", image, 1) for image in self.feedback)
        for position, epoch in _first_epochs(self.replay_plan).items():
            yield "replay", self.replay_pool[position], epoch
        yield from (("holdout", image, None) for image in self.holdout.images)

    def images(self) -> Iterator[LabelledImage]:
        """Every image that it names; one may come more than once."""
        yield from (*self.train_images, *self.tune.images, *self.test.images, *self.holdout.images)

    def with_files_at(self, paths: Mapping[str, Path]) -> Self:
        """The same revision, its images in other files.

        Args:
            paths: Of every image, by sha256.
        """

        def moved(images: Sequence[LabelledImage]) -> tuple[LabelledImage, ...]:
            return tuple(image.model_copy(update={"path": paths[image.sha256]}) for image in images)

        sets = {
            name: images.model_copy(update={"images": moved(images.images)})
            for name, images in (("tune", self.tune), ("test", self.test), ("holdout", self.holdout))
        }
        return self.model_copy(
            update={"feedback": moved(self.feedback), "replay_pool": moved(self.replay_pool), **sets}
        )

    def save(self, folder: Path) -> None:
        """Write it, file places included, for the process that trains."""
        (folder / FILE_NAME).write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "DatasetRevision":
        """Read what `save` wrote."""
        return cls.model_validate_json((folder / FILE_NAME).read_text(encoding="utf-8"))


def _first_epochs(plan: Sequence[Sequence[int]]) -> dict[int, int]:
    first: dict[int, int] = {}
    for epoch, chosen in enumerate(plan, 1):
        for position in chosen:
            first.setdefault(position, epoch)
    return first


def compose(
    base: BaseSet,
    feedback: Sequence[LabelledImage],
    learned: Sequence[LabelledImage],
    holdout: Sequence[LabelledImage],
    hyperparameters: Hyperparameters,
    pinned: Collection[str] = (),
) -> DatasetRevision:
    """Put a revision together.

    Args:
        base: The base set, in the class order of the live model.
        feedback: Approved samples that the run is to learn, without the holdout.
        learned: Feedback that earlier champions learned from; joins the replay pool.
        holdout: All feedback samples kept for judging.
        hyperparameters: The run's.
        pinned: sha256 of images that every epoch replays, where the pool has them.
    """
    # An image that is in the feedback has newer boxes there than in the pool.
    newer = {image.sha256 for image in feedback} | {image.sha256 for image in holdout}
    pool = {image.sha256: image for image in (*base.train.images, *learned) if image.sha256 not in newer}
    replay_pool = tuple(pool[sha256] for sha256 in sorted(pool))
    plan = plan_replay(
        replay_pool,
        strategy=hyperparameters.replay_strategy,
        per_epoch=hyperparameters.train_replay,
        epochs=hyperparameters.epochs,
        seed=hyperparameters.seed,
        pinned=pinned,
    )
    return DatasetRevision(
        class_names=base.class_names,
        feedback=tuple(feedback),
        replay_pool=replay_pool,
        replay_plan=tuple(map(tuple, plan)),
        tune=base.tune,
        test=base.test,
        holdout=ImageSet(name="holdout", images=tuple(holdout)),
        replay_strategy=hyperparameters.replay_strategy,
        seed=hyperparameters.seed,
    )


def record(store: Store, revision: DatasetRevision) -> str:
    """Keep the revision where every host finds it, once, with the samples in it, and return its digest.

    Raises:
        DiskFull: If there is no space, and BlobStoreUnavailable if the blob store does not answer.
    """
    digest = revision.digest
    sha256 = store.blobs.put(revision.model_dump_json().encode(), "the dataset revision")
    with store.database.write() as session:
        # Two runs on the same content may record it at once.
        store.database.exclusive(session, digest)
        row = session.get(DatasetRevisionRow, digest)
        if row is None:
            row = DatasetRevisionRow(digest=digest, manifest=revision.manifest())
            session.add(row)
        row.content_sha256 = sha256
        session.flush()
        _record_samples(session, revision, digest)
    return digest


def _record_samples(session: Session, revision: DatasetRevision, digest: str) -> None:
    """The same boxes under the same digest may come from another sample, or be a sample's newer version."""
    of_digest = sa.select(RevisionSample).where(RevisionSample.dataset_digest == digest)
    known = {row.sample_id: row for row in session.scalars(of_digest)}
    for role, image, first_epoch in revision.seen():
        if image.sample is None:
            continue
        named = RevisionSample(dataset_digest=digest, sample_id=image.sample.sample_id)
        row = known.setdefault(image.sample.sample_id, named)
        row.correction_version, row.role, row.first_epoch = image.sample.version, role, first_epoch
    session.add_all(known.values())


def restore(store: Store, digest: str, base: BaseSet) -> DatasetRevision:
    """Read a recorded revision on any host: the same images and boxes, as files of this host.

    Args:
        store: Where it was recorded.
        digest: Its name.
        base: This host's base set.

    Raises:
        NotFound: If it was not recorded whole.
        BlobDamaged: If it, or a feedback image, is missing or altered in the blob store.
        BlobStoreUnavailable: If the blob store does not answer.
        BaseSetInvalid: If the base set of this host lacks an image.
    """
    frozen = recorded(store, digest)
    paths = {
        image.sha256: image.path for split in (base.train, base.tune, base.test) for image in split.images
    }
    images = {image.sha256: image for image in frozen.images()}
    elsewhere = images.keys() - paths.keys()
    feedback = sorted(elsewhere & _feedback_sha256(store))
    if lacking := [images[sha256] for sha256 in elsewhere.difference(feedback)]:
        raise _base_set_lacks(lacking, digest)
    with ThreadPoolExecutor(_FETCHING_THREADS) as pool:
        paths.update(zip(feedback, pool.map(store.blobs.local_path, feedback), strict=True))
    return frozen.with_files_at(paths)


def recorded(store: Store, digest: str) -> DatasetRevision:
    """A revision as it was recorded, with its images where they were on the host that composed it.

    Raises:
        NotFound: If it was not recorded whole.
        BlobDamaged: If it is missing or altered in the blob store.
        BlobStoreUnavailable: If the blob store does not answer.
    """
    with store.database.read() as session:
        row = session.get(DatasetRevisionRow, digest)
    if row is None or row.content_sha256 is None:
        raise NotFound(f"There is no dataset revision {digest} to go on with. Post the batch again.")
    frozen = DatasetRevision.model_validate_json(store.blobs.get(row.content_sha256))
    if frozen.digest != digest:
        raise BlobDamaged(
            f"Under the name of dataset revision {digest} another one is kept, {frozen.digest}. "
            "Restore the database from a backup, or post the batch again."
        )
    return frozen


def _feedback_sha256(store: Store) -> set[str]:
    with store.database.read() as session:
        return {sha256 for sha256 in session.scalars(sa.select(Sample.blob_sha256).distinct()) if sha256}


def _base_set_lacks(images: Sequence[LabelledImage], digest: str) -> BaseSetInvalid:
    # The path may be one of another host and another system.
    names = sorted(PureWindowsPath(str(image.path)).name for image in images)
    shown = ", ".join(names[:_NAMES_SHOWN]) + (" and others" if len(names) > _NAMES_SHOWN else "")
    return BaseSetInvalid(
        f"The base set of this host lacks {len(names)} images of dataset revision {digest}, byte for byte: "
        f"{shown}. Give TMS_ANNOTATED_DATASET_ROOT the same base set on every host, then retry the run."
    )
