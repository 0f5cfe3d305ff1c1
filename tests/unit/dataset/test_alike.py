import pytest

from core.dataset import frozen_sets
from core.dataset.alike import most_alike, replay_pool
from core.dataset.images import ImageSet, Label, LabelledImage
from core.errors import BaseSetMissing
from tests.factories import CLASS_NAMES, write_base_set
from tests.history import add_batch, fine_tuned


def label(class_id=0, width=0.2, height=0.1):
    return Label(class_id=class_id, center_x=0.5, center_y=0.5, width=width, height=height)


def shows(name, *labels, group=None):
    return LabelledImage(
        path=f"{name}.jpg", sha256=name, width_px=64, height_px=48, labels=labels, group=group
    )


def names(found):
    return [image.sha256 for image in found]


def test_boxes_of_the_class_and_of_about_the_size_come_first():
    pool = [
        shows("large", label(width=0.8, height=0.8)),
        shows("other class", label(1)),
        shows("nothing"),
        shows("same", label(1), label()),
        shows("near", label(width=0.25)),
    ]
    assert names(most_alike(pool, [label()], None, 9)) == ["same", "near", "large"]
    assert names(most_alike(pool, [label()], None, 1)) == ["same"]
    assert most_alike(pool, [], None, 9) == []
    assert most_alike(pool, [label(2)], None, 9) == []


def test_the_same_transformer_comes_before_the_same_size():
    pool = [shows("alike", label(), group="T2"), shows("own", label(width=0.6), group="T1")]
    assert names(most_alike(pool, [label()], "T1", 9)) == ["own", "alike"]
    assert names(most_alike(pool, [label()], None, 9)) == ["alike", "own"]


def test_an_image_without_a_group_is_of_no_transformer():
    pool = [shows("a", label(width=0.3)), shows("b", label(), group="T1")]
    assert names(most_alike(pool, [label()], None, 9)) == ["b", "a"]


def test_the_pool_is_what_may_be_replayed_and_nothing_that_judges(store):
    with pytest.raises(BaseSetMissing):
        replay_pool(store, CLASS_NAMES)
    write_base_set(store.settings.base_set_root)
    add_batch(store, "learned", is_holdout=False)
    fine_tuned(store)
    add_batch(store, "not learned yet", is_holdout=False)
    base = frozen_sets.base_set(store)
    pool = replay_pool(store, CLASS_NAMES)
    assert len(pool) == len(base.train.images) + 1
    frozen_sets.freeze(store, ImageSet(name="test", images=base.train.images[:1]))
    assert base.train.images[0].sha256 not in names(replay_pool(store, CLASS_NAMES))
