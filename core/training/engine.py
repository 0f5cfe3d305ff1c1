"""Ultralytics' training loop, fed by a dataset revision and told apart from its side effects."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ultralytics.cfg import get_cfg
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import unwrap_model

from core.dataset.revision import DatasetRevision
from core.errors import OutOfMemory, TrainingFailed
from core.schemas import Hyperparameters
from core.training import state
from core.training.blend import blend_into
from core.training.compiler import metrics_alone, optimizers_alone, seeds_alone, step_alone
from core.training.courier import Courier, DetachedCourier
from core.training.data import EpochSampler, LabelledDataset, data_dictionary, train_loader, validation_loader
from core.training.device import use_all_cores
from core.training.recipe import trainer_arguments
from core.training.weights import STATE_FILE, load_model, save_model


class Learned(NamedTuple):
    """The weights of a finished training, and how many epochs went into them."""

    weights: Path
    epochs: int


class FineTuner(DetectionTrainer):  # type: ignore[misc]
    """Ultralytics' detection trainer on a dataset revision.

    The argument `data` is the folder of the revision, so that the processes of a multi-GPU run can build
    the same trainer from its arguments alone.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what Ultralytics' trainer takes."""
        with seeds_alone():
            super().__init__(*args, **options)

    def train(self) -> None:
        """Train to the end."""
        with optimizers_alone():
            super().train()

    def get_dataset(self) -> dict[str, Any]:
        """Read the revision in place of a data.yaml."""
        self.revision = DatasetRevision.load(Path(self.args.data))
        return data_dictionary(self.revision.class_names)

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> Any:
        """Loader of the mixed training epochs, or of the tune split."""
        stride = max(int(unwrap_model(self.model).stride.max()), 32)
        if mode == "val":
            names = self.revision.class_names
            return validation_loader(self.revision.tune.images, self.args, names, stride, batch_size)
        dataset = LabelledDataset(
            self.revision.train_images,
            imgsz=self.args.imgsz,
            hyp=self.args,
            batch_size=batch_size,
            stride=stride,
            data=self.data,
        )
        rank, processes = max(rank, 0), max(self.world_size, 1)
        sampler = EpochSampler(self.revision.epoch_positions(), self.args.seed, rank, processes)
        return train_loader(dataset, sampler, batch_size, self.args.workers, self.args.seed)

    def setup_model(self) -> None:
        """Take the parent's model itself; Ultralytics would build another and copy the weights into it."""
        self.model: Any = load_model(Path(self.args.model)).requires_grad_(True)

    def _setup_train(self) -> None:
        super()._setup_train()
        if self.device.type == "cpu":
            use_all_cores()
        self.best_weights: state.State = {}
        self.best_epoch = 0
        self.trained_s = 0.0
        if found := state.load(self.state_path):
            self.best_weights, self.best_epoch = found["best"], found["best_epoch"]
            self.trained_s = found["trained_s"]
            state.restore(self, found)

    @property
    def state_path(self) -> Path:
        """Where the state after each epoch is written, and found when a run goes on."""
        return Path(self.args.project) / STATE_FILE

    def _build_train_pipeline(self) -> None:
        # Ultralytics comes here a second time to go on with half the batch size, which nobody asked for.
        if getattr(self, "_oom_retries", 0):
            raise OutOfMemory(f"A batch of {2 * self.batch_size} images did not fit into device memory.")
        super()._build_train_pipeline()

    def _model_train(self) -> None:
        super()._model_train()
        # Ultralytics tells the sampler its epoch only when there are several processes.
        self.train_loader.set_epoch(self.epoch)

    def _handle_nan_recovery(self, epoch: int) -> bool:
        if self.loss is not None and not torch.isfinite(self.loss):
            raise TrainingFailed(
                f"The loss was no longer a number in epoch {epoch + 1}. "
                "Lower the learning rate, then start the run again."
            )
        return False

    def build_optimizer(self, *args: Any, **options: Any) -> Any:
        """Ultralytics' own choice of parameter groups."""
        return step_alone(super().build_optimizer(*args, **options))

    def get_validator(self) -> Any:
        """What has to be known of the validator now; it is made when it is first needed."""
        return metrics_alone()

    def validate(self) -> Any:
        """Score the average weights on the tune split, as Ultralytics does."""
        if not isinstance(self.validator, DetectionValidator):
            self.validator: Any = super().get_validator()
        return super().validate()

    def save_model(self) -> bool:
        """Keep all it takes to go on from here, the best weights on the tune split among it, in fp32."""
        if self.best_fitness == self.fitness:
            weights = unwrap_model(self.ema.ema).state_dict()
            self.best_weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
            self.best_epoch = self.epoch + 1
        state.save(state.capture(self, self.best_weights, self.best_epoch), self.state_path)
        return True

    def final_eval(self) -> None:
        """Nothing: judging is done on other images, by core.evaluation."""


class Progress:
    """Tells a courier of batches and epochs, and ends training when the run is stopped or its time is up.

    A multi-GPU run hands it to other processes, so it holds only what can be pickled.
    """

    def __init__(self, courier: Courier | DetachedCourier, time_budget_s: float | None) -> None:
        """Take whom to report to, and the seconds that training may take."""
        self._courier = courier
        self._time_budget_s = time_budget_s
        self._step = 0
        self._started_s = 0.0

    def attach(self, trainer: FineTuner) -> None:
        """Listen to a trainer."""
        trainer.add_callback("on_train_start", self._start)
        trainer.add_callback("on_train_batch_end", self._batch)
        trainer.add_callback("on_fit_epoch_end", self._epoch)

    def _start(self, trainer: FineTuner) -> None:
        # As if the run had never been interrupted, so that pace, budget and step go on with it.
        self._started_s = time.monotonic() - trainer.trained_s
        self._step = len(trainer.train_loader) * trainer.start_epoch
        if trainer.start_epoch and RANK in {-1, 0}:
            self._courier("resumed", {"epochs_done": trainer.start_epoch, "step": self._step})

    def _batch(self, trainer: FineTuner) -> None:
        self._step += 1
        trainer.trained_s = time.monotonic() - self._started_s
        if RANK in {-1, 0}:
            self._courier("batch", self._batch_payload(trainer))
        # Several processes end together, at the end of the epoch, or they would wait for each other.
        if RANK == -1:
            trainer.stop = trainer.stop or self._has_to_stop(trainer)

    def _has_to_stop(self, trainer: FineTuner) -> bool:
        is_over = self._time_budget_s is not None and trainer.trained_s > self._time_budget_s
        return is_over or self._courier.order == "stop"

    def _batch_payload(self, trainer: FineTuner) -> dict[str, Any]:
        steps = len(trainer.train_loader) * trainer.epochs
        seconds_per_step = trainer.trained_s / self._step
        return {
            "epoch": trainer.epoch + 1,
            "epochs": trainer.epochs,
            "step": self._step,
            "steps": steps,
            "loss": {name: round(float(value), 5) for name, value in trainer.loss_items.items()},
            "learning_rate": trainer.optimizer.param_groups[0]["lr"],
            "images_per_s": round(trainer.batch_size / seconds_per_step, 2),
            "eta_s": round(seconds_per_step * (steps - self._step), 1),
        }

    def _epoch(self, trainer: FineTuner) -> None:
        if RANK not in {-1, 0}:
            return
        self._courier.keep_epoch(trainer.state_path, _epoch_payload(trainer))
        trainer.stop = trainer.stop or self._has_to_stop(trainer)


def _epoch_payload(trainer: FineTuner) -> dict[str, Any]:
    metrics = {name: value for name, value in trainer.metrics.items() if name.startswith("metrics/")}
    return {
        "epoch": trainer.epoch + 1,
        "epochs": trainer.epochs,
        "losses": {name: round(float(value), 5) for name, value in trainer.tloss.items()},
        "metrics": {**metrics, "fitness": round(float(trainer.fitness), 5)},
        "learning_rate": trainer.optimizer.param_groups[0]["lr"],
        "is_best": bool(trainer.best_fitness == trainer.fitness),
    }


def fine_tune(
    hyperparameters: Hyperparameters,
    *,
    parent: Path,
    dataset_folder: Path,
    run_folder: Path,
    device: str,
    courier: Courier | DetachedCourier,
) -> Learned:
    """Train from the parent's weights on the revision in `dataset_folder`.

    If `run_folder` holds the state of an earlier attempt, training goes on behind its last finished epoch. If
    the run was told to stop before that, or had finished, nothing is trained.

    Args:
        hyperparameters: Honoured to the letter.
        parent: Weights to start from.
        dataset_folder: Where the revision was saved.
        run_folder: Takes the state after each epoch, the candidate, and Ultralytics' files, under `train/`.
        device: As `resolve_device` returned it.
        courier: Told of each batch and epoch; must be picklable for several GPUs.

    Returns:
        The weights of the best epoch on the tune split, fp32, blended as asked, and the number of that epoch.

    Raises:
        ResumeStateDamaged: If there is a state and it cannot be read.
        TrainingFailed: If the loss stops being a number, or no weights are left. What Ultralytics and torch
            raise is passed on; `core.training.failures` tells it in plain words.
    """
    arguments = trainer_arguments(
        hyperparameters, parent=parent, dataset_folder=dataset_folder, run_folder=run_folder, device=device
    )
    run_folder.mkdir(parents=True, exist_ok=True)
    state_path = run_folder / STATE_FILE
    if not _is_over(state.load(state_path), hyperparameters.epochs, courier):
        trainer = FineTuner(overrides=arguments)
        Progress(courier, hyperparameters.time_budget_s).attach(trainer)
        trainer.train()
    found = state.load(state_path)
    if found is None:
        raise TrainingFailed("Training ended without weights. The run's log says why; then start it again.")
    target = run_folder / "candidate.pt"
    weights = _write_candidate(found["best"], parent, hyperparameters.blend, arguments, target)
    return Learned(weights, found["best_epoch"])


def _is_over(found: state.State | None, epochs: int, courier: Courier | DetachedCourier) -> bool:
    return found is not None and (
        found["is_over"] or found["epochs_done"] >= epochs or courier.order == "stop"
    )


def _write_candidate(
    best: state.State, parent: Path, share: float, arguments: dict[str, Any], path: Path
) -> Path:
    candidate = load_model(parent)
    candidate.load_state_dict(best)
    if share < 1:
        blend_into(candidate, load_model(parent), share)
    candidate.args = vars(get_cfg(overrides=arguments))
    save_model(candidate, path)
    return path
