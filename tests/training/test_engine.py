import hashlib
from collections import Counter

import pytest

from core.dataset.base_set import read_base_set
from core.dataset.revision import compose
from core.errors import BaselineUnreadable, TrainingFailed
from core.training.weights import class_names_of, load_model, save_model
from tests.factories import CLASS_NAMES
from tests.training.conftest import TINY, a_courier

pytestmark = pytest.mark.slow


@pytest.fixture
def train(bench, tmp_path):
    """Trains with changed hyperparameters and gives the weights' path and all events."""
    from core.training.engine import fine_tune

    def run(folder="run", parent=bench.weights, **changes):
        events = []
        asked = TINY.model_copy(update=changes)
        (tmp_path / folder).mkdir()
        bench.revision_for(asked).save(tmp_path / folder)
        with a_courier(bench.settings, lambda kind, payload: events.append((kind, payload))) as courier:
            learned = fine_tune(
                asked,
                parent=parent,
                dataset_folder=tmp_path / folder,
                run_folder=tmp_path / folder,
                device="cpu",
                courier=courier,
            )
        return learned.weights, events

    return run


@pytest.fixture
def optimizer_at_step_1(bench, tmp_path):
    """The optimizer as it is when the first step has been taken with the given hyperparameters."""
    from core.training.engine import FineTuner
    from core.training.recipe import trainer_arguments

    def first_step(**changes):
        bench.revision_for(TINY).save(tmp_path)
        arguments = trainer_arguments(
            TINY.model_copy(update=changes),
            parent=bench.weights,
            dataset_folder=tmp_path,
            run_folder=tmp_path / "first",
            device="cpu",
        )
        trainer = FineTuner(overrides=arguments)
        seen = []

        def look(trainer):
            if not seen:
                seen.append(
                    (type(trainer.optimizer).__name__, [dict(g) for g in trainer.optimizer.param_groups])
                )
                trainer.stop = True

        trainer.add_callback("on_train_batch_end", look)
        trainer.train()
        return seen[0]

    return first_step


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW", "Adam"])
def test_what_was_asked_is_what_the_optimizer_had_at_step_1(optimizer_at_step_1, optimizer):
    name, groups = optimizer_at_step_1(
        optimizer=optimizer, learning_rate=0.00321, momentum=0.81, weight_decay=0.0123
    )
    assert name == optimizer
    assert {round(group["lr"], 8) for group in groups} == {0.00321}
    momenta = {group["momentum"] if optimizer == "SGD" else group["betas"][0] for group in groups}
    assert momenta == {0.81}
    decays = {group["param_group"]: round(group["weight_decay"], 8) for group in groups}
    assert decays == {"weight": 0.0123, "bn": 0.0, "bias": 0.0}


def test_training_changes_the_weights_and_tells_its_progress(train, bench):
    weights, events = train()
    model = load_model(weights)
    assert class_names_of(model) == CLASS_NAMES
    before = load_model(bench.weights).state_dict()
    assert any(not value.equal(before[name]) for name, value in model.state_dict().items())
    assert {value.dtype.is_floating_point and str(value.dtype) for value in model.parameters()} == {
        "torch.float32"
    }
    kinds = Counter(kind for kind, _ in events)
    images = len(bench.feedback) + 3
    steps_per_epoch = -(-images // 2)
    assert kinds["epoch"] == 2
    last = [payload for kind, payload in events if kind == "batch"][-1]
    assert (last["step"], last["steps"], last["epoch"]) == (2 * steps_per_epoch, 2 * steps_per_epoch, 2)
    assert set(last["loss"]) == {"box_loss", "cls_loss", "dfl_loss"}


def test_the_same_seed_gives_the_same_bits(train):
    first, second, other = (
        load_model(train(folder, seed=seed)[0]).state_dict()
        for folder, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(value.equal(second[name]) for name, value in first.items())
    assert not all(value.equal(other[name]) for name, value in first.items())


def test_frozen_modules_stay_as_they_are(train, bench):
    after, before = (
        load_model(train(freeze=10, learning_rate=0.01)[0]).state_dict(),
        load_model(bench.weights).state_dict(),
    )
    frozen = tuple(f"model.{number}." for number in range(10))
    assert all(value.equal(before[name]) for name, value in after.items() if name.startswith(frozen))
    assert any(not value.equal(before[name]) for name, value in after.items() if not name.startswith(frozen))


def test_blending_lies_between_old_and_new(train, bench):
    old = load_model(bench.weights).state_dict()
    new = load_model(train("whole", learning_rate=0.01)[0]).state_dict()
    half = load_model(train("half", learning_rate=0.01, blend=0.5)[0]).state_dict()
    for name, value in half.items():
        if value.is_floating_point():
            assert value.allclose((old[name] + new[name]) / 2, atol=1e-5)


def test_a_time_budget_ends_training_with_weights(train):
    weights, events = train(epochs=500, time_budget_s=0.5)
    assert weights.exists()
    assert max(payload["epoch"] for _, payload in events) < 500


@pytest.mark.real_data
def test_patience_ends_training_that_no_longer_improves(bench, real_data, tmp_path):
    from core.training.engine import fine_tune

    base = read_base_set(real_data / "tms-thermal")
    patient = TINY.model_copy(update={"epochs": 50, "patience": 2, "learning_rate": 1e-12, "image_size": 160})
    compose(base, base.train.images[:2], [], [], patient).save(tmp_path)
    events = []
    with a_courier(bench.settings, lambda kind, payload: events.append((kind, payload))) as courier:
        fine_tune(
            patient,
            parent=real_data / "weights" / "tms-baseline.pt",
            dataset_folder=tmp_path,
            run_folder=tmp_path / "run",
            device="cpu",
            courier=courier,
        )
    assert [payload["epoch"] for kind, payload in events if kind == "epoch"] == [1, 2, 3]


def test_a_loss_that_is_no_number_ends_the_run_and_says_what_to_do(train, bench, tmp_path):
    model = load_model(bench.weights)
    model.model[0].conv.weight.data.fill_(float("nan"))
    save_model(model, tmp_path / "poisoned.pt")
    with pytest.raises(TrainingFailed, match="Lower the learning rate"):
        train(parent=tmp_path / "poisoned.pt")


def test_nothing_is_written_beside_the_images(train, bench):
    folders = [bench.settings.home / name for name in ("base_set", "news")]
    before = sorted(path for folder in folders for path in folder.rglob("*"))
    train()
    assert sorted(path for folder in folders for path in folder.rglob("*")) == before


def test_weights_are_whole_or_not_there(bench, tmp_path):
    model = load_model(bench.weights)
    save_model(model, tmp_path / "good.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.pt"]
    model.hook = lambda: None  # cannot be pickled
    with pytest.raises(AttributeError):
        save_model(model, tmp_path / "bad.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.pt"]


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x02}."])
def test_a_file_that_is_no_checkpoint_is_refused(bench, tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(BaselineUnreadable, match=r"weights\.pt"):
        load_model(path)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(bench, tmp_path):
    import torch

    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"model": Attack()}, tmp_path / "evil.pt")
    with pytest.raises(BaselineUnreadable):
        load_model(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_plain_ultralytics_loads_and_predicts(train, bench):
    from ultralytics import YOLO

    image = bench.base.test.images[0].path
    weights = train()[0]
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    results = YOLO(weights).predict(str(image), imgsz=64, verbose=False)
    assert results[0].names == dict(enumerate(CLASS_NAMES))
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == digest
