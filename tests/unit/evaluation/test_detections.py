from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from core.dataset.images import ImageSet, Label, LabelledImage
from core.errors import BlobDamaged
from core.evaluation.detections import Detections, Truth
from tests.unit.evaluation.factories import make_detections, random_set


def test_a_file_keeps_every_digit():
    _, detections = random_set(2)
    kept = Detections.from_parquet(detections.to_parquet())
    for field in fields(Detections):
        np.testing.assert_array_equal(getattr(kept, field.name), getattr(detections, field.name))


def test_images_without_a_detection_are_kept_in_mind():
    kept = Detections.from_parquet(make_detections([[], [], []]).to_parquet())
    assert (len(kept), kept.image_count, kept.set_digest) == (0, 3, "set")


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", make_detections([[]]).to_parquet()[:-9]])
def test_what_is_no_such_file_is_told(content):
    with pytest.raises(BlobDamaged, match="Score the checkpoint again"):
        Detections.from_parquet(content)


def test_another_parquet_file_is_told(tmp_path):
    import pandas as pd

    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(BlobDamaged):
        Detections.from_parquet((tmp_path / "x.parquet").read_bytes())


def _image(number, group=None, *labels):
    return LabelledImage(
        path=Path("x.jpg"), sha256=f"{number:064}", width_px=200, height_px=100, labels=labels, group=group
    )


def test_labels_become_corners_in_pixels():
    label = Label(class_id=2, center_x=0.5, center_y=0.5, width=0.2, height=0.4)
    truth = Truth.of(ImageSet(name="test", images=(_image(0), _image(1, None, label))))
    assert (truth.image_count, truth.image.tolist(), truth.class_id.tolist()) == (2, [1], [2])
    np.testing.assert_allclose(truth.xyxy, [(80, 30, 120, 70)])
    np.testing.assert_array_equal(truth.sizes_px, [(200, 100)] * 2)


def test_images_of_one_transformer_are_one_group_and_others_stand_alone():
    truth = Truth.of(ImageSet(name="test", images=(_image(0, "T1"), _image(1), _image(2, "T1"), _image(3))))
    assert truth.group_count == 3
    assert truth.groups[0] == truth.groups[2]


def test_the_group_is_no_part_of_the_digest():
    one, other = (ImageSet(name="test", images=(_image(0, group),)) for group in (None, "T1"))
    assert one.digest == other.digest
