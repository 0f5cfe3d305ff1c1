"""Training images that show the same as one that judges: what can be pinned where that one may not be."""

import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from core.dataset import feedback_set, frozen_sets
from core.dataset.images import Label, LabelledImage, SampleVersion
from core.feedback.approved import ApprovedSample
from core.store import Store


def replay_pool(store: Store, class_names: Sequence[str]) -> list[LabelledImage]:
    """All that a run may replay: the base set's train split, and feedback that champions learned from.

    Args:
        store: Where both are known; no image is read.
        class_names: Ids are positions.

    Raises:
        BaseSetMissing: If there is no base set, and BaseSetInvalid if it cannot be read.
        ClassMapMismatch: If it names other classes.
    """
    base = frozen_sets.base_set(store).in_order_of(class_names).train.images
    with store.database.read() as session:
        learned = feedback_set.learned(session)
    judged = frozen_sets.judged_sha256(store)
    pool = {image.sha256: image for image in (*base, *map(_unread, learned)) if image.sha256 not in judged}
    return list(pool.values())


def _unread(sample: ApprovedSample) -> LabelledImage:
    """The sample with its image still in the image store, which may be far away."""
    return LabelledImage(
        path=Path(sample.blob_sha256),
        sha256=sample.blob_sha256,
        width_px=sample.width_px,
        height_px=sample.height_px,
        labels=feedback_set.labels_of(sample.detections, sample.width_px, sample.height_px),
        sample=SampleVersion(sample_id=sample.id, version=sample.version),
        group=sample.group or sample.cluster,
    )


def most_alike(
    pool: Iterable[LabelledImage], wanted: Collection[Label], group: str | None, most: int
) -> list[LabelledImage]:
    """Images with a box like one of the wanted: of its class, of about its size and shape.

    Args:
        pool: To choose from.
        wanted: What has to be seen in them.
        group: Of the image that they stand for: those of the same transformer come first.
        most: At most this many.
    """
    found = [(image, _distance(image, wanted)) for image in pool]
    fitting = [one for one in found if one[1] < math.inf]
    fitting.sort(key=lambda one: (group is None or one[0].group != group, one[1], one[0].sha256))
    return [image for image, _ in fitting[:most]]


def _distance(image: LabelledImage, wanted: Iterable[Label]) -> float:
    """How far the nearest box is from one that is wanted: 0 is the same size and shape."""
    return min(
        (
            abs(math.log(label.width / one.width)) + abs(math.log(label.height / one.height))
            for label in image.labels
            for one in wanted
            if label.class_id == one.class_id
        ),
        default=math.inf,
    )
