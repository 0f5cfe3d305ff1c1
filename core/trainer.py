"""The way of one feedback batch, from what was posted to what is live.

    accept → adopt → prepare → learn → judge → settle

`run_finetune` walks it in one process. The worker walks the same stages; `adopt`, `learn` and `judge`
in a process of their own, because they need torch. Each stage may be repeated: it finds what an earlier
attempt left behind in the store.
"""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from core import demo
from core.config import Settings
from core.dataset import feedback_set, revision
from core.dataset.base_set import BaseSet, read_base_set
from core.dataset.images import ImageSet
from core.dataset.revision import DatasetRevision
from core.dataset.yolo import write_yolo
from core.errors import BaselineMissing, NoUsableImages, TmsError
from core.evaluation import gate
from core.feedback import intake
from core.registry import checkpoints, publish, summary
from core.registry.summary import hyperparameters_of
from core.schemas import FineTuneRequest, FineTuneSummary, Hyperparameters
from core.store import Store, runs
from core.store.tables import Checkpoint, Run
from core.training import isolation
from core.training.device import device_lock, resolve_device
from core.training.progress import DetachedReport, Report, reporter
from core.training.weights import class_names_of, load_model


def run_finetune(
    request: FineTuneRequest, *, settings: Settings | None = None, on_progress: Report | None = None
) -> FineTuneSummary:
    """Fine-tune on a feedback batch, here and now, without any server.

    Args:
        request: The batch and how to learn from it.
        settings: Those of the process when left out.
        on_progress: Told each event of the run: its kind and payload, see docs/api.md.

    Returns:
        What was learned, how it compares, and what is live now.

    Raises:
        TmsError: With a stable `code`; what was published before is as it was.
    """
    with Store.open(settings) as store:
        # First, because the caller may have imported Ultralytics, which changes how Pillow opens images.
        isolation.isolate(store.settings)
        with store.database.write() as session:
            run_id = accept(session, request, source=runs.PYTHON, actor="local").id
        report = reporter(store, run_id, on_progress)
        with attempt(store, run_id):
            adopt(store, report)
            prepare(store, run_id, report)
            learn(store, run_id, report)
            judge(store, run_id, report)
            return settle(store, run_id)


def accept(session: Session, request: FineTuneRequest, *, source: str, actor: str) -> Run:
    """Write batch, samples and a queued run in the caller's transaction."""
    batch = intake.record_batch(session, request, source=source, actor=actor)
    return runs.create_run(session, batch.id, request)


@contextmanager
def attempt(store: Store, run_id: str) -> Iterator[None]:
    """Log to the run's file, and write what goes wrong into the run before it is raised on."""
    with isolation.run_log(store.settings.log_path(run_id)):
        try:
            yield
        except TmsError as error:
            _record_failure(store, run_id, error.as_dict())
            raise
        except BaseException as error:
            detail = (
                f"{type(error).__name__}: {error}. {store.settings.log_path(run_id)} has the whole story."
            )
            _record_failure(store, run_id, TmsError(detail).as_dict())
            raise


def _record_failure(store: Store, run_id: str, error: dict[str, object]) -> None:
    logging.getLogger(isolation.PRODUCT_LOGGER).error("%s\n%s", error["detail"], traceback.format_exc())
    runs.fail(store, run_id, error)


def adopt(store: Store, report: Report) -> None:
    """Make sure that something is live: before the first run that is the baseline.

    Raises:
        BaselineMissing: If the configured weights do not exist.
        BaselineUnreadable: If they are no YOLO detection checkpoint.
    """
    if publish.champion(store) is not None:
        return
    path = store.settings.baseline_path
    if not (store.settings.is_demo or path.is_file()):
        raise BaselineMissing(
            f"There are no weights at {path}. Set TMS_PRETRAINED_WEIGHTS to the detector's weights."
        )
    isolation.isolate(store.settings)
    if store.settings.is_demo:
        demo.ensure_demo(store.settings.demo_dir, on_progress=lambda what, share: _say(report, what, share))
    baseline = checkpoints.register(store, path, class_names=class_names_of(load_model(path)))
    reason = f"Baseline {path.name} adopted."
    publish.promote(store, baseline, instead_of=None, actor="system", reason=reason)


def prepare(store: Store, run_id: str, report: Report) -> None:
    """Take the batch in, and freeze what the run learns from and is judged on.

    Raises:
        BaseSetMissing: If there is no base set.
        BaseSetInvalid: If it cannot be read.
        ClassMapMismatch: If it does not name the live model's classes.
        NoUsableImages: If no image of the batch passed intake.
    """
    runs.enter(store, run_id, "preparing")
    champion = publish.champion(store)
    if champion is None:
        raise BaselineMissing("Nothing is live yet. Start the run again; it adopts the baseline first.")
    base = read_base_set(store.settings.base_set_root).in_order_of(champion.class_names)
    for note in base.notes:
        _say(report, note)
    _take_in(store, run_id, base, report)
    frozen = _compose(store, run_id, base)
    folder = store.settings.dataset_folder(run_id)
    write_yolo(frozen, folder)
    frozen.save(folder)
    digest = revision.record(store, frozen)
    runs.enter(store, run_id, "preparing", dataset_digest=digest, parent_id=champion.id)


def _take_in(store: Store, run_id: str, base: BaseSet, report: Report) -> None:
    intake.take_in(
        store,
        runs.get_row(store, run_id).batch_id,
        class_names=base.class_names,
        judged_sha256=base.judged_sha256() | feedback_set.held_out_sha256(store),
        approve_as="system",
        on_progress=lambda done, total: report(
            "phase", {"phase": "Fetching and checking images", "done": done, "total": total}
        ),
    )


def _compose(store: Store, run_id: str, base: BaseSet) -> DatasetRevision:
    run = runs.get_row(store, run_id)
    samples = intake.approved_samples(store, run.batch_id)
    feedback = [sample for sample in samples if not sample.is_holdout]
    if not feedback:
        raise _nothing_to_learn_from(store, run.batch_id)
    return revision.compose(
        base,
        feedback_set.labelled(store, feedback),
        feedback_set.learned_by_champions(store),
        feedback_set.kept_for_judging(store),
        hyperparameters_of(run),
    )


def _nothing_to_learn_from(store: Store, batch_id: str) -> NoUsableImages:
    put_aside = intake.quarantined(store, batch_id)
    reasons = " ".join(f"Image {image.index}: {image.detail} {image.repair}" for image in put_aside[:3])
    return NoUsableImages(
        f"{len(put_aside)} images were put aside and none is left to learn from. {reasons}",
        quarantined=[image.model_dump() for image in put_aside],
    )


def learn(store: Store, run_id: str, report: Report) -> None:
    """Fine-tune the champion on the frozen dataset, and register the result as a checkpoint.

    Raises:
        DeviceUnavailable: If the asked device is not on this host.
        CheckpointDamaged: If the champion's weights are not those that were registered.
        TrainingFailed: If the training loop raised.
    """
    isolation.isolate(store.settings)
    from core.training.engine import fine_tune

    run = runs.get_row(store, run_id)
    parent = checkpoints.get(store, run.parent_id or "")
    hyperparameters = hyperparameters_of(run)
    with _device_for(store, hyperparameters, report) as device:
        runs.enter(store, run_id, "training")
        weights = fine_tune(
            hyperparameters,
            parent=checkpoints.verified_weights(store, parent),
            dataset_folder=store.settings.dataset_folder(run_id),
            run_folder=store.settings.run_folder(run_id),
            device=device,
            report=DetachedReport(store.settings, run_id) if "," in device else report,
        )
    candidate = checkpoints.register(
        store,
        weights,
        class_names=tuple(parent.class_names),
        parent_id=parent.id,
        run_id=run_id,
        dataset_digest=run.dataset_digest,
        recipe=hyperparameters.model_dump(),
    )
    runs.enter(store, run_id, "training", checkpoint_id=candidate.id)


def judge(store: Store, run_id: str, report: Report) -> None:
    """Score champion and candidate in this process on the same images: base test, and the holdout if any.

    Raises:
        CheckpointDamaged: If weights are not those that were registered.
    """
    isolation.isolate(store.settings)
    run = runs.get_row(store, run_id)
    frozen = DatasetRevision.load(store.settings.dataset_folder(run_id))
    both = [checkpoints.get(store, id_ or "") for id_ in (run.parent_id, run.checkpoint_id)]
    runs.enter(store, run_id, "evaluating")
    with _device_for(store, hyperparameters_of(run), report) as device:
        for images in filter(lambda images: images.images, (frozen.test, frozen.holdout)):
            for checkpoint in both:
                _say(report, f"Scoring {checkpoint.id} on {len(images.images)} {images.name} images")
                _score(store, run, checkpoint, images, device)


def _score(store: Store, run: Run, checkpoint: Checkpoint, images: ImageSet, device: str) -> None:
    from core.evaluation.predict import score

    scored = score(
        checkpoints.verified_weights(store, checkpoint),
        images,
        image_size=hyperparameters_of(run).image_size,
        device=device,
        work_folder=store.settings.run_folder(run.id),
    )
    checkpoints.record_score(store, run.id, checkpoint.id, scored)


def settle(store: Store, run_id: str) -> FineTuneSummary:
    """Turn the scores into a verdict, publish or hold the candidate, and tell the run's outcome.

    Raises:
        CheckpointDamaged: If the candidate's weights are not those that were judged.
        DiskFull: If there is no space to publish. In both cases what was live stays live.
    """
    runs.enter(store, run_id, "evaluating")
    run = runs.get_row(store, run_id)
    candidate = checkpoints.get(store, run.checkpoint_id or "")
    decision = gate.decide(
        checkpoints.score_of(store, run_id, run.parent_id or "", "test"),
        checkpoints.score_of(store, run_id, candidate.id, "test"),
        policy=run.request["promotion"],
        margin=store.settings.regression_margin,
    )
    promoted = decision.publishes and publish.promote(
        store, candidate, instead_of=run.parent_id, actor="system", reason=decision.reason, run_id=run_id
    )
    outcome = summary.of_run(store, run, decision, promoted=promoted)
    publish.write_last_metrics(store, summary.last_metrics(outcome))
    runs.enter(store, run_id, "succeeded", summary=outcome.model_dump(mode="json"))
    return outcome


@contextmanager
def _device_for(store: Store, hyperparameters: Hyperparameters, report: Report) -> Iterator[str]:
    device = resolve_device(hyperparameters.device or store.settings.device)
    with device_lock(store.settings, device, lambda: _say(report, f"Waiting for device {device}")):
        yield device


def _say(report: Report, phase: str, share: float = 0.0) -> None:
    report("phase", {"phase": phase, "done": round(share * 100), "total": 100 if share else 0})
