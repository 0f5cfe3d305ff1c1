"""The sets that judge and choose, frozen under their digests; none of their images is ever learned from."""

from collections.abc import Collection
from dataclasses import replace

import sqlalchemy as sa

from core.dataset.base_set import BaseSet, read_base_set
from core.dataset.images import ImageSet
from core.errors import NotFound
from core.store import Store
from core.store.tables import EvaluationSet, JudgedImage

HOLDOUT = "holdout"


def base_set(store: Store) -> BaseSet:
    """The configured base set, without training images that judge, or ever did.

    Raises:
        BaseSetMissing: If there is no base set, and BaseSetInvalid if it cannot be read.
    """
    settings = store.settings
    read = read_base_set(settings.base_set_root, settings.base_group_pattern)
    return without_judged(read, judged_sha256(store))


def freeze(store: Store, images: ImageSet) -> str:
    """Keep a set under its digest, once, and note that its images judge from now on.

    Returns:
        The digest.

    Raises:
        DiskFull: If there is no space, and BlobStoreUnavailable if the blob store does not answer.
    """
    digest = images.digest
    with store.database.read() as session:
        if session.get(EvaluationSet, digest) is not None:
            return digest
    sha256 = store.blobs.put(images.model_dump_json().encode(), f"the {images.name} set")
    with store.database.write() as session:
        # Two runs may freeze the same set at once.
        store.database.exclusive(session, "evaluation_set")
        known = set(session.scalars(sa.select(JudgedImage.sha256)))
        new = {image.sha256 for image in images.images} - known
        session.add_all(JudgedImage(sha256=sha256, set_name=images.name) for sha256 in sorted(new))
        if session.get(EvaluationSet, digest) is None:
            row = EvaluationSet(digest=digest, name=images.name, image_count=len(images.images))
            row.content_sha256 = sha256
            session.add(row)
    return digest


def frozen(store: Store, digest: str) -> ImageSet:
    """A set as it was frozen; its image files may lie elsewhere on this host.

    Raises:
        NotFound: If there is no such set.
        BlobDamaged: If its content is missing or altered.
        BlobStoreUnavailable: If the blob store does not answer.
    """
    with store.database.read() as session:
        row = session.get(EvaluationSet, digest)
    if row is None:
        raise NotFound(f"There is no evaluation set {digest}.")
    return ImageSet.model_validate_json(store.blobs.get(row.content_sha256))


def judged_sha256(store: Store) -> frozenset[str]:
    """Digests of all images that judge, or ever did."""
    with store.database.read() as session:
        return frozenset(session.scalars(sa.select(JudgedImage.sha256)))


def judged_of_base_sets(store: Store) -> frozenset[str]:
    """Those of them that base sets brought: feedback that judges is known by intake already."""
    of_base = sa.select(JudgedImage.sha256).where(JudgedImage.set_name != HOLDOUT)
    with store.database.read() as session:
        return frozenset(session.scalars(of_base))


def without_judged(base: BaseSet, judged: Collection[str]) -> BaseSet:
    """The base set without training images that judge, or ever did, and with a note if there are any.

    Who judged a model and is then learned from makes every later figure look better than it is.
    """
    never = base.judging_files().keys() | frozenset(judged)
    kept = tuple(image for image in base.train.images if image.sha256 not in never)
    left_out = len(base.train.images) - len(kept)
    if not left_out:
        return base
    note = f"{left_out} images of the base set's train split have judged, and are not learned from."
    train = base.train.model_copy(update={"images": kept})
    return replace(base, train=train, notes=(*base.notes, note))
