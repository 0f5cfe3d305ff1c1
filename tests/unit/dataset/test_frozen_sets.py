import pytest

from core.dataset import frozen_sets, pins
from core.dataset.base_set import BaseSet
from core.dataset.images import ImageSet
from core.errors import ImageJudges, NotFound
from tests.unit.dataset.factories import labelled


def _set(name, *names):
    return ImageSet(name=name, images=tuple(labelled(one, 1) for one in names))


def _base(train, test=("judge",)):
    return BaseSet(("a", "b"), _set("train", *train), _set("tune", "chooser"), _set("test", *test))


def test_a_frozen_set_is_read_back_under_its_digest(any_store):
    images = _set("test", "one", "two")
    assert frozen_sets.freeze(any_store, images) == frozen_sets.freeze(any_store, images) == images.digest
    assert frozen_sets.frozen(any_store, images.digest) == images
    assert frozen_sets.judged_sha256(any_store) == {image.sha256 for image in images.images}
    with pytest.raises(NotFound):
        frozen_sets.frozen(any_store, "0" * 64)


def test_a_set_that_grows_is_another_set_and_its_old_images_still_judge(store):
    small, grown = _set("holdout", "one"), _set("holdout", "one", "two")
    for images in (small, grown):
        frozen_sets.freeze(store, images)
    assert small.digest != grown.digest
    assert frozen_sets.frozen(store, small.digest) == small
    assert len(frozen_sets.judged_sha256(store)) == 2


def test_other_boxes_on_the_same_images_are_another_set():
    assert _set("test", "one").digest != ImageSet(name="test", images=(labelled("one", 0),)).digest


def test_what_has_judged_is_never_learned_from_wherever_it_is_moved(store):
    before = _base(["student"])
    frozen_sets.freeze(store, before.test)
    moved = _base(["student", "judge"], test=("other",))
    learned = frozen_sets.without_judged(moved, frozen_sets.judged_sha256(store))
    assert learned.train == before.train
    assert "1 images of the base set's train split have judged" in learned.notes[-1]


def test_an_image_in_both_splits_judges():
    base = frozen_sets.without_judged(_base(["student", "judge", "chooser"]), ())
    assert base.train == _set("train", "student")


def test_nothing_is_left_out_in_silence_and_nothing_is_said_without_reason():
    base = _base(["student"])
    assert frozen_sets.without_judged(base, ()) is base


def test_a_pin_is_kept_once_and_can_be_taken_back(any_store):
    sha256 = labelled("forgotten").sha256
    pins.pin(any_store, sha256, actor="anna", reason="lost twice")
    pins.pin(any_store, sha256, actor="ben")
    assert [(one.sha256, one.actor, one.reason) for one in pins.pins(any_store)] == [
        (sha256, "anna", "lost twice")
    ]
    pins.unpin(any_store, sha256)
    pins.unpin(any_store, sha256)
    assert pins.pins(any_store) == []


def test_what_judges_cannot_be_pinned(store):
    frozen_sets.freeze(store, _set("test", "judge"))
    with pytest.raises(ImageJudges, match="in the test set"):
        pins.pin(store, labelled("judge").sha256, actor="anna")
    assert pins.pins(store) == []


@pytest.mark.parametrize("name", ["", "x", "A" * 64, "../" + "a" * 61])
def test_a_pin_names_an_image(store, name):
    with pytest.raises(NotFound, match="64 hex digits"):
        pins.pin(store, name, actor="anna")
