import hashlib

import pytest
import yaml
from PIL import Image

from core.dataset.base_set import read_base_set
from core.dataset.images import boxes_per_class
from core.errors import BaseSetInvalid, BaseSetMissing, ClassMapMismatch
from tests.factories import CLASS_NAMES, write_base_set


def _change(root, **changes):
    path = root / "data.yaml"
    config = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({key: value for key, value in config.items() if value is not None}))


def test_splits_are_read_as_roboflow_writes_them(tmp_path):
    base = read_base_set(write_base_set(tmp_path))
    assert [len(split.images) for split in (base.train, base.tune, base.test)] == [6, 4, 4]
    assert base.class_names == CLASS_NAMES
    assert base.notes == ()
    assert boxes_per_class(base.train.images, base.class_names) == dict.fromkeys(CLASS_NAMES, 2)
    first = base.train.images[0]
    assert (first.width_px, first.height_px) == (64, 64)
    assert first.labels[0].xywh == (0.5, 0.5, 0.4, 0.4)


def test_lists_of_files_and_valid_for_val_and_names_as_mapping_are_understood(tmp_path):
    root = write_base_set(tmp_path)
    (root / "train.txt").write_text(
        "\n".join(f"./train/images/{p.name}" for p in (root / "train/images").iterdir())
    )
    _change(root, train="train.txt", val=None, valid=["valid/images"], names=dict(enumerate(CLASS_NAMES)))
    base = read_base_set(root)
    assert [len(split.images) for split in (base.train, base.tune, base.test)] == [6, 4, 4]


def test_without_test_half_of_valid_judges_and_says_so(tmp_path):
    root = write_base_set(tmp_path, images={"train": 4, "valid": 12})
    base = read_base_set(root)
    tune, test = ({image.sha256 for image in split.images} for split in (base.tune, base.test))
    assert not tune & test
    assert min(len(tune), len(test)) > 0
    assert len(tune | test) == 12
    assert "no test split" in base.notes[0]
    assert read_base_set(root) == base


def test_the_live_models_order_rules(tmp_path):
    base = read_base_set(write_base_set(tmp_path))
    turned = base.in_order_of(tuple(reversed(CLASS_NAMES)))
    before = boxes_per_class(base.test.images, base.class_names)
    assert boxes_per_class(turned.test.images, turned.class_names) == before
    assert turned.test.digest != base.test.digest
    with pytest.raises(ClassMapMismatch, match="point TMS_PRETRAINED_WEIGHTS"):
        base.in_order_of(("one", "two", "three"))


def test_a_polygon_counts_as_its_bounds_and_a_repeated_box_once(tmp_path):
    root = write_base_set(tmp_path)
    label = next((root / "train/labels").iterdir())
    label.write_text("1 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n0 0.5 0.5 0.4 0.4\n0 0.5 0.5 0.4 0.4\n")
    image = next(i for i in read_base_set(root).train.images if i.path.stem == label.stem)
    assert [label.class_id for label in image.labels] == [1, 0]
    assert image.labels[0].xywh == pytest.approx((0.3, 0.4, 0.4, 0.4))


def test_an_image_turned_by_exif_has_its_upright_size(tmp_path):
    root = write_base_set(tmp_path)
    path = next((root / "train/images").iterdir())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40)).save(path, exif=exif)
    image = next(i for i in read_base_set(root).train.images if i.path == path)
    assert (image.width_px, image.height_px) == (40, 80)


def test_an_image_without_label_file_is_background(tmp_path):
    root = write_base_set(tmp_path)
    next((root / "train/labels").iterdir()).unlink()
    assert sorted(len(image.labels) for image in read_base_set(root).train.images) == [0, 1, 1, 1, 1, 1]


def test_no_folder_and_no_images_are_missing(tmp_path):
    with pytest.raises(BaseSetMissing, match="TMS_ANNOTATED_DATASET_ROOT"):
        read_base_set(tmp_path / "nowhere")
    (tmp_path / "data.yaml").write_text("names: [a]\ntrain: train/images\nval: valid/images\n")
    with pytest.raises(BaseSetMissing, match="holds no images"):
        read_base_set(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "train: x", "names: {1: a}", "names: []"])
def test_a_data_yaml_that_says_nothing_is_invalid(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(BaseSetInvalid, match=r"data\.yaml"):
        read_base_set(tmp_path)


@pytest.mark.parametrize(
    "line", ["9 0.5 0.5 0.1 0.1", "0 0.5 0.5 0.1", "0 0.5 0.5 1.5 0.1", "0 0.5 0.5 0 0.1", "x y"]
)
def test_a_label_that_cannot_be_meant_is_named_with_its_file(tmp_path, line):
    root = write_base_set(tmp_path)
    label = next((root / "test/labels").iterdir())
    label.write_text(line)
    with pytest.raises(BaseSetInvalid, match=label.stem):
        read_base_set(root)


def test_the_digest_of_a_set_is_of_its_content_not_its_place(tmp_path):
    here, there = write_base_set(tmp_path / "here"), write_base_set(tmp_path / "there")
    assert read_base_set(here).test.digest == read_base_set(there).test.digest
    label = next((there / "test/labels").iterdir())
    label.write_text("0 0.5 0.5 0.4 0.41\n")
    assert read_base_set(here).test.digest != read_base_set(there).test.digest


@pytest.mark.real_data
def test_the_real_base_set(real_data):
    base = read_base_set(real_data / "tms-thermal")
    assert [len(split.images) for split in (base.train, base.tune, base.test)] == [75, 21, 10]
    assert list(boxes_per_class(base.train.images, base.class_names).values()) == [2, 62, 24, 1, 28]


@pytest.mark.parametrize(
    ("name", "pattern", "group"),
    [
        ("T10_faulty_002_jpg.rf.cc2f6023.jpg", None, "T10"),
        ("T07_normal_003.jpg", None, "T07"),
        ("street_7_jpg.rf.0a1b.jpg", None, "street_7_jpg"),
        ("00041001.jpg", None, None),
        ("plant-3-cam.png", r"^plant-(\d+)", "3"),
        ("other.png", r"^plant-(\d+)", None),
    ],
)
def test_images_of_one_transformer_are_told_by_their_names(tmp_path, name, pattern, group):
    root = write_base_set(tmp_path)
    first = min((root / "test" / "images").iterdir())
    first.rename(first.with_name(name))
    base = read_base_set(root, pattern) if pattern else read_base_set(root)
    assert next(image for image in base.test.images if image.path.name == name).group == group


def test_a_split_is_the_same_whatever_its_files_are_called(tmp_path):
    root = write_base_set(tmp_path / "base_set")
    before = read_base_set(root).test
    for number, image in enumerate(before.images):
        image.path.rename(image.path.with_name(f"{9 - number}.jpg"))
        label = root / "test" / "labels" / f"{image.path.stem}.txt"
        label.rename(label.with_name(f"{9 - number}.txt"))
    after = read_base_set(root).test
    assert after.digest == before.digest
    assert [image.sha256 for image in after.images] == [image.sha256 for image in before.images]
    assert [image.path for image in after.images] != [image.path for image in before.images]


def test_an_image_that_was_written_anew_is_read_anew(tmp_path):
    root = write_base_set(tmp_path / "base_set")
    first = read_base_set(root).test.images[0]
    Image.new("RGB", (40, 30)).save(first.path)
    (second,) = (image for image in read_base_set(root).test.images if image.path == first.path)
    assert (second.width_px, second.height_px) == (40, 30)
    assert second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest() != first.sha256
