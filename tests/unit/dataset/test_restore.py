"""A dataset revision that one host recorded and another takes up."""

import hashlib
from itertools import chain
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.dataset.base_set import BaseSet
from core.dataset.images import ImageSet, Label, LabelledImage
from core.dataset.revision import DatasetRevision, compose, record, restore
from core.errors import BaseSetInvalid, BlobDamaged, NotFound
from core.schemas import Hyperparameters, ReplayStrategy
from core.store.ids import new_id
from core.store.tables import Batch, Sample
from core.store.tables import DatasetRevision as Row

SHARES = st.floats(0, 1, allow_subnormal=False)
LABELS = st.lists(
    st.builds(
        Label, class_id=st.integers(0, 1), center_x=SHARES, center_y=SHARES, width=SHARES, height=SHARES
    ),
    max_size=3,
).map(tuple)


def _image(folder: str, name: str, labels: tuple[Label, ...] = ()) -> LabelledImage:
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    path = Path(folder) / f"{name}.jpg"
    return LabelledImage(path=path, sha256=sha256, width_px=64, height_px=48, labels=labels)


def _base(folder: str, train: int = 6, labels: tuple[Label, ...] = ()) -> BaseSet:
    def split(name: str, count: int) -> ImageSet:
        images = (_image(f"{folder}/{name}", f"{name} {number}", labels) for number in range(count))
        return ImageSet(name=name, images=tuple(images))

    return BaseSet(
        class_names=("a", "b"), train=split("train", train), tune=split("tune", 2), test=split("test", 3)
    )


def _take_in(store, *images):
    """What intake leaves of feedback: bytes in the blob store and a row for each image."""
    with store.database.write() as session:
        batch = Batch(id=new_id("batch"), source="t", actor="t")
        session.add(batch)
        session.flush()
        for position, image in enumerate(images):
            store.blobs.put(image.path.stem.encode())
            session.add(
                Sample(
                    id=new_id("sample"),
                    batch_id=batch.id,
                    position=position,
                    image_url="",
                    posted=[],
                    status="approved",
                    blob_sha256=image.sha256,
                )
            )


@st.composite
def _parts(draw):
    """Feedback, learned feedback and holdout, the run's hyperparameters, and the base set's labels."""
    sides = ["feedback", *draw(st.lists(st.sampled_from(["feedback", "learned", "holdout"]), max_size=5))]
    images = [(side, _image("posted", f"{side} {row}", draw(LABELS))) for row, side in enumerate(sides)]
    hyperparameters = Hyperparameters(
        train_replay=draw(st.integers(0, 12)),
        epochs=draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 2**31 - 1)),
        replay_strategy=draw(st.sampled_from(get_args(ReplayStrategy))),
    )
    parts = [[image for on, image in images if on == side] for side in ("feedback", "learned", "holdout")]
    return parts, hyperparameters, draw(LABELS)


def _without_places(revision: DatasetRevision) -> DatasetRevision:
    return revision.with_files_at({image.sha256: Path("nowhere") for image in revision.images()})


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=_parts())
def test_another_host_has_the_same_revision_over_its_own_files(hosts, parts):
    here, there = hosts
    sides, hyperparameters, base_labels = parts
    _take_in(here, *chain(*sides))
    revision = compose(_base("here", labels=base_labels), *sides, hyperparameters)
    digest = record(here, revision)
    restored = restore(there, digest, _base("there", labels=base_labels))
    assert restored.digest == digest == revision.digest
    assert _without_places(restored) == _without_places(revision)
    posted = {image.sha256 for image in chain(*sides)}
    for image in restored.images():
        if image.sha256 in posted:
            assert hashlib.sha256(image.path.read_bytes()).hexdigest() == image.sha256
        else:
            assert image.path.parts[0] == "there"


def _recorded(store):
    feedback = [_image("posted", "sample 0")]
    _take_in(store, *feedback)
    revision = compose(_base("here"), feedback, [], [], Hyperparameters(train_replay=2, epochs=3))
    return record(store, revision), feedback[0]


def test_a_base_set_that_lacks_images_is_named_with_them(store):
    digest, _ = _recorded(store)
    with pytest.raises(BaseSetInvalid, match=r"lacks 2 images.*train 4\.jpg, train 5\.jpg\. Give") as raised:
        restore(store, digest, _base("there", train=4))
    assert digest in raised.value.detail
    with pytest.raises(BaseSetInvalid, match=r"lacks 6 images.*and others"):
        restore(store, digest, _base("there", train=0))


def test_feedback_that_is_gone_or_altered_is_not_blamed_on_the_base_set(store):
    digest, sample = _recorded(store)
    store.blobs.local_path(sample.sha256).write_bytes(b"other")
    with pytest.raises(BlobDamaged, match=sample.sha256):
        restore(store, digest, _base("there"))
    store.blobs.delete(sample.sha256)
    with pytest.raises(BlobDamaged, match=sample.sha256):
        restore(store, digest, _base("there"))


def test_a_revision_that_was_not_recorded_whole_is_not_found(store):
    digest, _ = _recorded(store)
    with pytest.raises(NotFound, match="no dataset revision nobody"):
        restore(store, "nobody", _base("there"))
    with store.database.write() as session:
        session.get_one(Row, digest).content_sha256 = None
    with pytest.raises(NotFound, match=digest):
        restore(store, digest, _base("there"))


def test_a_revision_is_never_taken_for_another(store):
    digest, sample = _recorded(store)
    other = compose(_base("here"), [sample], [], [], Hyperparameters(train_replay=3, epochs=3))
    assert record(store, other) != digest
    with store.database.write() as session:
        rows = session.get_one(Row, digest), session.get_one(Row, other.digest)
        rows[0].content_sha256 = rows[1].content_sha256
    with pytest.raises(BlobDamaged, match=f"{digest} another one is kept, {other.digest}"):
        restore(store, digest, _base("there"))


def test_a_revision_recorded_again_by_another_host_is_whole(hosts):
    here, there = hosts
    digest, sample = _recorded(here)
    with here.database.write() as session:
        here.blobs.delete(session.get_one(Row, digest).content_sha256)
    again = compose(_base("there"), [sample], [], [], Hyperparameters(train_replay=2, epochs=3))
    assert record(there, again) == digest
    assert restore(here, digest, _base("here")).digest == digest
