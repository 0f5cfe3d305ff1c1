"""The way of one feedback batch, from what was posted to what is live.

    accept → adopt → prepare → learn → judge → prove → settle

`run_finetune` walks it in the caller's process; a worker has it walked in a process of its own. Each stage
may be repeated: it finds what an earlier attempt left behind in the store, so that a run whose process or
host died goes on where it stood.
"""

import logging
import os
import platform
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy.orm import Session

from core import demo
from core.config import Settings
from core.dataset import feedback_set, frozen_sets, pins, revision
from core.dataset.base_set import BaseSet
from core.dataset.revision import DatasetRevision
from core.dataset.yolo import write_yolo
from core.errors import (
    BaselineMissing,
    ClaimLost,
    NoUsableImages,
    RunCancelled,
    TmsError,
)
from core.evaluation import fresh
from core.evaluation.gate import Decision
from core.feedback import gaps, intake
from core.registry import checkpoints, judging, leftovers, proof, publish, retention, summary, verdicts
from core.registry.scoring import Bench
from core.registry.summary import hyperparameters_of
from core.schemas import FineTuneRequest, FineTuneSummary, Hyperparameters
from core.store import Store, claims, outbox, runs
from core.store.claims import Claim
from core.store.database import patiently
from core.store.tables import Checkpoint, Run
from core.training import failures, isolation
from core.training.courier import Courier, Report
from core.training.device import device_lock, resolve_device
from core.training.weights import class_names_of, load_model

log = logging.getLogger(isolation.PRODUCT_LOGGER)


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
            run = accept(session, request, source="python", actor="local")
            claim = claims.take(session, run, f"python:{platform.node()}:{os.getpid()}")
        try:
            return walk(store, claim, on_progress)
        except RunCancelled:
            leftovers.cancel(store, claim)
            raise


def accept(session: Session, request: FineTuneRequest, *, source: str, actor: str) -> Run:
    """Write batch, samples and a queued run in the caller's transaction."""
    batch = intake.record_batch(session, request, source=source, actor=actor)
    return runs.create_run(session, batch, request)


def walk(store: Store, claim: Claim, also: Report | None = None) -> FineTuneSummary:
    """Take a claimed run to its end.

    Args:
        store: Where the run is.
        claim: Held by the caller; every write is checked against it.
        also: Told of each event.

    Raises:
        RunCancelled: If the run was told to; the caller still has to cancel it (`leftovers`).
        ClaimLost: If the run has passed to another owner; nothing more may be done with it.
        TmsError: What made the run fail, after it was written into the run.
    """
    log_path = store.settings.log_path(claim.run_id)
    with isolation.run_log(log_path), Courier(store, claim, also) as courier:
        try:
            # A database that is away for a while costs time and nothing else.
            patiently(partial(adopt, courier.store, courier.say))
            for stage in (prepare, learn, judge, prove):
                patiently(partial(stage, courier))
            return patiently(partial(settle, courier))
        except (RunCancelled, ClaimLost):
            raise
        except BaseException as error:
            named = _record_failure(courier, error)
            if isinstance(error, Exception):
                raise named from error
            raise


def _record_failure(courier: Courier, error: BaseException) -> TmsError:
    log.error("%s: %s\n%s", type(error).__name__, error, traceback.format_exc())
    named = failures.explained(error, courier.store.settings.log_path(courier.run_id))
    courier.fail(named)
    return named


def adopt(store: Store, say: Callable[[str, float], None]) -> Checkpoint:
    """Make sure that something is live, and give it: before the first run that is the baseline.

    Args:
        store: Where checkpoints are kept.
        say: Told what is being done, and how much of it is done, from 0 to 1.

    Raises:
        BaselineMissing: If the configured weights do not exist.
        BaselineUnreadable: If they are no YOLO detection checkpoint.
    """
    if (live := publish.champion(store)) is not None:
        return live
    path = store.settings.baseline_path
    if not (store.settings.is_demo or path.is_file()):
        raise BaselineMissing(
            f"There are no weights at {path}. Set TMS_PRETRAINED_WEIGHTS to the detector's weights."
        )
    isolation.isolate(store.settings)
    if store.settings.is_demo:
        demo.ensure_demo(store.settings.demo_dir, on_progress=say)
    baseline = checkpoints.register(store, path, class_names=class_names_of(load_model(path)))
    # These weights were written by somebody else, and this process loads them: that is proof enough.
    proof.keep_proven(store, baseline)
    reason = f"Baseline {path.name} adopted."
    publish.promote(store, baseline, instead_of=None, actor="system", reason=reason)
    return publish.champion(store) or baseline


def prepare(courier: Courier) -> None:
    """Take the run's batch in, if it has one, and freeze what the run learns from and is judged on.

    Raises:
        BaseSetMissing: If there is no base set.
        BaseSetInvalid: If it cannot be read, or is not the one that an earlier attempt saw.
        ClassMapMismatch: If it does not name the live model's classes.
        NoUsableImages: If no image of the batch passed intake.
        NothingApproved: If the run learns from all that was approved, and nothing of that is left.
    """
    store, run = courier.store, runs.get_row(courier.store, courier.run_id)
    champion = checkpoints.get(store, run.parent_id) if run.parent_id else publish.champion(store)
    if champion is None:
        raise BaselineMissing("Nothing is live yet. Start the run again; it adopts the baseline first.")
    base = frozen_sets.base_set(store).in_order_of(champion.class_names)
    for note in base.notes:
        courier.say(note)
    if run.dataset_digest:
        _write_dataset(store, run.id, revision.restore(store, run.dataset_digest, base))
        return
    if run.learns_from == "batch":
        take_in(store, run.batch_id, base, champion, partial(_tell_intake, courier))
    _fill_gaps(courier, run)
    frozen = _compose(store, run, base)
    for images in (frozen.tune, frozen.test, frozen.holdout):
        frozen_sets.freeze(store, images)
    _write_dataset(store, run.id, frozen)
    courier.enter("preparing", dataset_digest=revision.record(store, frozen), parent_id=champion.id)


def take_in(
    store: Store, batch_id: str, base: BaseSet, champion: Checkpoint, on_progress: Callable[[int, int], None]
) -> None:
    """Fetch and check a batch's images; those of a trusted batch are approved.

    Args:
        store: Where the batch is.
        batch_id: The batch.
        base: The base set, in the class order of the champion.
        champion: What is live.
        on_progress: Told how many of how many images are done; may raise to stop.
    """
    intake.take_in(
        store,
        batch_id,
        class_names=base.class_names,
        judging=base.judging_files(),
        judged_sha256=frozen_sets.judged_of_base_sets(store),
        champion_id=champion.id,
        on_progress=on_progress,
    )


def _tell_intake(courier: Courier, done: int, total: int) -> None:
    courier("phase", {"phase": "Fetching and checking images", "done": done, "total": total})


def _fill_gaps(courier: Courier, run: Run) -> None:
    """Add what the champion is sure of to batches whose poster asked for it, before they are learned from."""
    store = courier.store
    for batch_id in gaps.batches_to_fill(store, run.batch_id if run.learns_from == "batch" else None):
        champion = publish.live_at_intake(store, batch_id)
        courier.say(f"Filling gaps with what {champion.id} sees")
        with _device_for(courier, hyperparameters_of(run)) as device:
            weights = checkpoints.verified_weights(store, champion)
            fresh.look_at(store, batch_id, champion, weights, device=device, check=courier.check)


def _compose(store: Store, run: Run, base: BaseSet) -> DatasetRevision:
    with store.database.read() as session:
        feedback = feedback_set.new_to(session, run)
        learned, kept = feedback_set.learned(session), feedback_set.kept_for_judging(session)
        if not feedback:
            raise _nothing_to_learn_from(store, session, run)
    new, pool, holdout = (feedback_set.labelled(store, samples) for samples in (feedback, learned, kept))
    pinned = {pin.sha256 for pin in pins.pins(store)}
    return revision.compose(base, new, pool, holdout, hyperparameters_of(run), pinned)


def _nothing_to_learn_from(store: Store, session: Session, run: Run) -> TmsError:
    if run.learns_from == "approved":
        return feedback_set.nothing_approved(session)
    put_aside = intake.quarantined(store, run.batch_id)
    reasons = " ".join(f"Image {image.index}: {image.detail} {image.repair}" for image in put_aside[:3])
    return NoUsableImages(
        f"{len(put_aside)} images were put aside and none is left to learn from. {reasons}",
        quarantined=[image.model_dump() for image in put_aside],
    )


def _write_dataset(store: Store, run_id: str, frozen: DatasetRevision) -> None:
    folder = store.settings.dataset_folder(run_id)
    write_yolo(frozen, folder)
    frozen.save(folder)


def learn(courier: Courier) -> None:
    """Fine-tune the champion on the frozen dataset, and register the result as a checkpoint.

    An earlier attempt's epochs are not repeated.

    Raises:
        DeviceUnavailable: If the asked device is not on this host.
        CheckpointDamaged: If the champion's weights are not those that were registered.
        ResumeStateDamaged: If the state of the last epoch is not the one that was kept.
        TrainingFailed: If the training loop raised.
    """
    store, run = courier.store, runs.get_row(courier.store, courier.run_id)
    if run.checkpoint_id:
        return
    isolation.isolate(store.settings)
    from core.training.engine import fine_tune

    parent = checkpoints.get(store, run.parent_id or "")
    hyperparameters = hyperparameters_of(run)
    leftovers.bring_state(store, run)
    with _device_for(courier, hyperparameters) as device:
        courier.enter("training")
        learned = fine_tune(
            hyperparameters,
            parent=checkpoints.verified_weights(store, parent),
            dataset_folder=store.settings.dataset_folder(run.id),
            run_folder=store.settings.run_folder(run.id),
            device=device,
            courier=courier.detached() if "," in device else courier,
        )
    for left_behind in checkpoints.made_by(store, run.id):
        checkpoints.discard(store, left_behind.id)
    candidate = checkpoints.register(
        store,
        learned.weights,
        class_names=tuple(parent.class_names),
        parent_id=parent.id,
        run_id=run.id,
        dataset_digest=run.dataset_digest,
        epochs=learned.epochs,
        recipe=hyperparameters.model_dump(),
    )
    courier.enter("training", checkpoint_id=candidate.id)


def judge(courier: Courier) -> None:
    """Score champion and candidate in this process on the same images, and compare them: base test, holdout.

    Raises:
        CheckpointDamaged: If weights are not those that were registered.
    """
    store, run = courier.store, runs.get_row(courier.store, courier.run_id)
    isolation.isolate(store.settings)
    frozen = DatasetRevision.load(store.settings.dataset_folder(run.id))
    courier.enter("evaluating")
    hyperparameters = hyperparameters_of(run)
    with _device_for(courier, hyperparameters) as device:
        bench = Bench(store, device, hyperparameters.image_size, courier.say, courier.check)
        judging.judge_run(bench, run, frozen)


def prove(courier: Courier) -> None:
    """Have another process load what may go live, which has to see in one image what this process sees.

    Raises:
        PublishFailed: If it cannot, or sees something else.
        CheckpointDamaged: If the weights are not those that were registered.
    """
    store, run = courier.store, runs.get_row(courier.store, courier.run_id)
    isolation.isolate(store.settings)
    candidate = checkpoints.get(store, run.checkpoint_id or "")
    image = DatasetRevision.load(store.settings.dataset_folder(run.id)).test.images[0].path
    proof.keep_witness(store, candidate, image, image_size=hyperparameters_of(run).image_size)
    # One that got worse may see anything; nobody publishes it without a thought.
    if verdicts.verdict_on(store, run).verdict != "fail":
        courier.say("Loading the candidate in another process")
        proof.prove(store, candidate)


def settle(courier: Courier) -> FineTuneSummary:
    """Turn the comparisons into a verdict, publish or hold the candidate, and tell the run's outcome.

    Raises:
        CheckpointDamaged: If the candidate's weights are not those that were judged.
        DiskFull: If there is no space to publish. In both cases what was live stays live.
    """
    store, run = courier.store, runs.get_row(courier.store, courier.run_id)
    candidate, decision = checkpoints.get(store, run.checkpoint_id or ""), verdicts.verdict_on(store, run)
    _tell_verdict(store, run, decision)
    promoted = decision.publishes and publish.promote(
        store,
        candidate,
        instead_of=run.parent_id,
        actor="system",
        reason=decision.reason,
        run_id=run.id,
        verdict=decision.verdict,
    )
    outcome = summary.of_run(store, run, decision, promoted=promoted)
    publish.write_last_metrics(store, summary.last_metrics(outcome))
    courier.enter("succeeded", summary=outcome.model_dump(mode="json"))
    leftovers.drop_states(store, run)
    retention.tidy(store)
    return outcome


def _tell_verdict(store: Store, run: Run, decision: Decision) -> None:
    news = {"run_id": run.id, "checkpoint_id": run.checkpoint_id, "champion_id": run.parent_id}
    with store.database.write() as session:
        outbox.tell(
            session, "verdict", run.id, {**news, "verdict": decision.verdict, "reason": decision.reason}
        )


@contextmanager
def _device_for(courier: Courier, hyperparameters: Hyperparameters) -> Iterator[str]:
    settings = courier.store.settings
    device = resolve_device(hyperparameters.device or settings.device)
    with device_lock(settings, device, lambda: courier.say(f"Waiting for device {device}"), courier.check):
        yield device
