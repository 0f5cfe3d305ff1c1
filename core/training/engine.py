"""Ultralytics' training loop, fed by a dataset revision and told apart from its side effects."""

import time
from copy import deepcopy
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import unwrap_model

from core.dataset.revision import DatasetRevision
from core.errors import TrainingFailed
from core.schemas import Hyperparameters
from core.training.blend import blend_into
from core.training.data import EpochSampler, LabelledDataset, data_dictionary, train_loader, validation_loader
from core.training.device import use_all_cores
from core.training.progress import Report
from core.training.recipe import trainer_arguments
from core.training.weights import load_model, save_model


class FineTuner(DetectionTrainer):  # type: ignore[misc]
    """Ultralytics' detection trainer on a dataset revision.

    The argument `data` is the folder of the revision, so that the processes of a multi-GPU run can build
    the same trainer from its arguments alone.
    """

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

    def _setup_train(self) -> None:
        super()._setup_train()
        if self.device.type == "cpu":
            use_all_cores()

    def _model_train(self) -> None:
        super()._model_train()
        # Ultralytics tells the sampler its epoch only when there are several processes.
        self.train_loader.sampler.set_epoch(self.epoch)

    def _handle_nan_recovery(self, epoch: int) -> bool:
        if self.loss is not None and not torch.isfinite(self.loss):
            raise TrainingFailed(
                f"The loss was no longer a number in epoch {epoch + 1}. "
                "Lower the learning rate, then start the run again."
            )
        return False

    def save_model(self) -> bool:
        """Keep the weights of the best epoch on the tune split, in fp32."""
        is_best = bool(self.best_fitness == self.fitness)
        if is_best:
            # Ultralytics cannot fuse weights that are stored channels last, as CUDA training leaves them.
            model = deepcopy(unwrap_model(self.ema.ema)).float().to(memory_format=torch.contiguous_format)
            model.criterion, model.args = None, vars(self.args)
            save_model(model, self.best)
        return is_best

    def final_eval(self) -> None:
        """Nothing: judging is done on other images, by core.evaluation."""


class Progress:
    """Tells a report of batches and epochs, and ends training when its time is up.

    A multi-GPU run hands it to other processes, so it holds only what can be pickled.
    """

    def __init__(self, report: Report, time_budget_s: float | None) -> None:
        """Take where to report to, and the seconds that training may take."""
        self._report = report
        self._time_budget_s = time_budget_s
        self._step = 0
        self._started_s = 0.0

    def attach(self, trainer: FineTuner) -> None:
        """Listen to a trainer."""
        trainer.add_callback("on_train_start", self._start)
        trainer.add_callback("on_train_batch_end", self._batch)
        trainer.add_callback("on_fit_epoch_end", self._epoch)

    def _start(self, trainer: FineTuner) -> None:
        self._started_s = time.monotonic()

    def _batch(self, trainer: FineTuner) -> None:
        self._step += 1
        elapsed_s = time.monotonic() - self._started_s
        if self._time_budget_s is not None and elapsed_s > self._time_budget_s:
            trainer.stop = True
        if RANK not in {-1, 0}:
            return
        steps = len(trainer.train_loader) * trainer.epochs
        seconds_per_step = elapsed_s / self._step
        self._report(
            "batch",
            {
                "epoch": trainer.epoch + 1,
                "epochs": trainer.epochs,
                "step": self._step,
                "steps": steps,
                "loss": {name: round(float(value), 5) for name, value in trainer.loss_items.items()},
                "learning_rate": trainer.optimizer.param_groups[0]["lr"],
                "images_per_s": round(trainer.batch_size / seconds_per_step, 2),
                "eta_s": round(seconds_per_step * (steps - self._step), 1),
            },
        )

    def _epoch(self, trainer: FineTuner) -> None:
        if RANK not in {-1, 0}:
            return
        metrics = {name: value for name, value in trainer.metrics.items() if name.startswith("metrics/")}
        self._report(
            "epoch",
            {
                "epoch": trainer.epoch + 1,
                "epochs": trainer.epochs,
                "losses": {name: round(float(value), 5) for name, value in trainer.tloss.items()},
                "metrics": {**metrics, "fitness": round(float(trainer.fitness), 5)},
                "learning_rate": trainer.optimizer.param_groups[0]["lr"],
                "is_best": bool(trainer.best_fitness == trainer.fitness),
            },
        )


def fine_tune(
    hyperparameters: Hyperparameters,
    *,
    parent: Path,
    dataset_folder: Path,
    run_folder: Path,
    device: str,
    report: Report,
) -> Path:
    """Train from the parent's weights on the revision in `dataset_folder`.

    Args:
        hyperparameters: Honoured to the letter.
        parent: Weights to start from.
        dataset_folder: Where the revision was saved.
        run_folder: Takes Ultralytics' files, under `train/`.
        device: As `resolve_device` returned it.
        report: Told of each batch and epoch; must be picklable for several GPUs.

    Returns:
        The weights of the best epoch on the tune split, fp32, blended as asked.

    Raises:
        TrainingFailed: If the loop raises, the loss stops being a number, or no weights are left.
    """
    arguments = trainer_arguments(
        hyperparameters, parent=parent, dataset_folder=dataset_folder, run_folder=run_folder, device=device
    )
    try:
        trainer = FineTuner(overrides=arguments)
        Progress(report, hyperparameters.time_budget_s).attach(trainer)
        trainer.train()
    except (RuntimeError, ValueError, AssertionError, MemoryError, CalledProcessError) as error:
        raise TrainingFailed(
            f"Training stopped with {type(error).__name__}: {error} The run's log has the lines before it."
        ) from error
    best = Path(trainer.best)
    if not best.exists():
        raise TrainingFailed("Training ended without weights. The run's log says why; then start it again.")
    if hyperparameters.blend < 1:
        _blend(best, parent, hyperparameters.blend)
    return best


def _blend(weights: Path, champion_weights: Path, share: float) -> None:
    candidate = load_model(weights)
    blend_into(candidate, load_model(champion_weights), share)
    save_model(candidate, weights)
