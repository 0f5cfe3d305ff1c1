"""Runs in every state, brought there by the same functions of core that a worker calls."""

import math
from datetime import timedelta
from typing import Any

from core.evaluation.metrics import FITNESS, MAP50, MAP50_95, PRECISION, RECALL, ClassScore
from core.schemas import FineTuneRequest, FineTuneSummary
from core.store import Store, claims, runs
from core.store.claims import Claim
from core.store.ids import canonical_digest, new_id
from core.store.tables import Batch, Checkpoint, Evaluation, LedgerEntry, Worker, utc_now
from tests.factories import save_epoch

CLASSES = ("hot joint", "cold joint")
EPOCHS = 4
STEPS_PER_EPOCH = 12
OWNER = "worker:test"


def request(**changes: Any) -> FineTuneRequest:
    detection = {"box": {"x_min": 1, "y_min": 2, "x_max": 30, "y_max": 40}, "class_id": 0}
    image = {"image_url": "https://images.example/1.png", "detections": [detection]}
    return FineTuneRequest.model_validate({"images": [image], "epochs": EPOCHS} | changes)


def queue_run(store: Store, *, actor: str = "local", note: str | None = None) -> str:
    with store.database.write() as session:
        batch = Batch(id=new_id("batch"), source="api", actor=actor, note=note)
        session.add(batch)
        session.flush()
        return runs.create_run(session, batch, request()).id


def take(store: Store, run_id: str) -> Claim:
    with store.database.write() as session:
        return claims.take(session, runs.locked(session, run_id), OWNER)


def claim_of(store: Store, run_id: str) -> Claim:
    return Claim(run_id, runs.get_row(store, run_id).fence)


def go_on(store: Store, run_id: str) -> None:
    """Lose the worker, and train on under another one behind the last epoch."""
    claims.hand_back(store, claim_of(store, run_id))
    take(store, run_id)
    runs.enter(store, run_id, "training")
    epochs_done = runs.get_row(store, run_id).resume_epoch
    resumed = {"epochs_done": epochs_done, "step": epochs_done * STEPS_PER_EPOCH}
    runs.add_event(store, run_id, "resumed", resumed)


def fail_training(store: Store, parent_id: str, *, epochs_done: int = 2) -> str:
    """A run that learned for a while from the champion, and can be continued."""
    run_id = train_run(store, epochs_done=epochs_done)
    runs.enter(store, run_id, "training", parent_id=parent_id)
    runs.fail(store, run_id, {"code": "disk_full", "title": "The disk is full", "detail": "", "extra": {}})
    return run_id


def prepare_run(store: Store, **who: Any) -> str:
    run_id = queue_run(store, **who)
    take(store, run_id)
    runs.add_event(store, run_id, "phase", {"phase": "Fetching and checking images", "done": 3, "total": 12})
    return run_id


def train_run(store: Store, *, epochs_done: int = 2, **who: Any) -> str:
    run_id = prepare_run(store, **who)
    runs.enter(store, run_id, "training")
    for epoch in range(1, epochs_done + 1):
        tell_epoch(store, run_id, epoch)
    return run_id


def tell_epoch(store: Store, run_id: str, epoch: int) -> None:
    for step in range((epoch - 1) * STEPS_PER_EPOCH + 1, epoch * STEPS_PER_EPOCH + 1):
        tell_step(store, run_id, epoch, step)
    # The dashboard takes a run away from an owner that is silent for long.
    tell_load(store, run_id)
    score = 0.3 + 0.05 * epoch
    metrics = scores(score)
    payload = {"epoch": epoch, "epochs": EPOCHS, "losses": _losses(step), "metrics": metrics}
    save_epoch(store, run_id, payload | {"learning_rate": 1e-4})


def tell_step(
    store: Store, run_id: str, epoch: int, step: int, steps: int = EPOCHS * STEPS_PER_EPOCH
) -> None:
    place = {"epoch": epoch, "epochs": EPOCHS, "step": step, "steps": steps}
    pace = {"learning_rate": 1e-4 * (1 - step / steps), "images_per_s": 21.4, "eta_s": 1.5 * (steps - step)}
    runs.add_event(store, run_id, "batch", place | {"loss": _losses(step)} | pace)


def tell_load(store: Store, run_id: str) -> None:
    gpu = {"load_percent": 87, "memory_bytes": 10 * 1024**3, "memory_total_bytes": 80 * 1024**3}
    of_process = {"cpu_percent": 190.0, "memory_bytes": 3 * 1024**3}
    with store.database.write() as session:
        run = claims.beat(session, claim_of(store, run_id))
        load = of_process | {"host_memory_percent": 46.2, "gpus": [gpu]}
        runs.append_event(session, run, "load", load)


def _losses(step: int) -> dict[str, float]:
    fall = math.exp(-step / 20)
    return {"box_loss": 1 + fall, "cls_loss": 0.6 + 2 * fall, "dfl_loss": 0.9 + 0.4 * fall}


def scores(map50_95: float) -> dict[str, float]:
    return {
        PRECISION: map50_95 + 0.3,
        RECALL: map50_95 + 0.2,
        MAP50: map50_95 + 0.25,
        MAP50_95: map50_95,
        FITNESS: map50_95,
    }


def fail_run(store: Store, error: dict[str, Any], **who: Any) -> str:
    run_id = prepare_run(store, **who)
    runs.fail(store, run_id, error)
    return run_id


def add_checkpoint(store: Store, run_id: str | None = None) -> str:
    checkpoint_id = new_id("ckpt")
    with store.database.write() as session:
        session.add(
            Checkpoint(
                id=checkpoint_id,
                sha256=canonical_digest(checkpoint_id),
                run_id=run_id,
                class_names=list(CLASSES),
                manifest={},
            )
        )
    return checkpoint_id


def promote(store: Store, checkpoint_id: str, *, reason: str = "baseline", run_id: str | None = None) -> None:
    entry = LedgerEntry(
        action="promote", checkpoint_id=checkpoint_id, actor="system", reason=reason, run_id=run_id
    )
    with store.database.write() as session:
        session.add(entry)


def add_worker(store: Store) -> None:
    with store.database.write() as session:
        session.add(Worker(id=new_id("worker"), host="gpu-host", pid=4711, device="cpu"))


def succeed_run(store: Store, champion_id: str, **outcome: Any) -> str:
    run_id = train_run(store, epochs_done=EPOCHS)
    finish_run(store, run_id, champion_id, **outcome)
    return run_id


def finish_run(
    store: Store,
    run_id: str,
    champion_id: str,
    *,
    promoted: bool = True,
    old: float = 0.412,
    new: float = 0.447,
    took: timedelta = timedelta(0),
    candidate_id: str | None = None,
    **more: Any,
) -> None:
    candidate_id = candidate_id or add_checkpoint(store, run_id)
    _evaluate(store, run_id, champion_id, old)
    _evaluate(store, run_id, candidate_id, new)
    summary = _summary(run_id, candidate_id, champion_id, promoted=promoted, old=old, new=new) | more
    runs.enter(store, run_id, "evaluating", started_at=utc_now() - took)
    runs.enter(store, run_id, "succeeded", summary=FineTuneSummary(**summary).model_dump(mode="json"))
    if promoted:
        promote(store, candidate_id, reason=summary["verdict_reason"], run_id=run_id)


def _evaluate(store: Store, run_id: str, checkpoint_id: str, score: float) -> None:
    per_class = [
        ClassScore(
            class_id=index,
            class_name=name,
            box_count=16 + index,
            precision=score,
            recall=score,
            ap50=score + 0.2,
            ap50_95=score - 0.1 * index,
        ).model_dump()
        for index, name in enumerate(CLASSES)
    ]
    with store.database.write() as session:
        session.add(
            Evaluation(
                id=new_id("eval"),
                run_id=run_id,
                checkpoint_id=checkpoint_id,
                set_name="test",
                set_digest="d" * 64,
                image_count=54,
                metrics=scores(score),
                per_class=per_class,
            )
        )


def _summary(
    run_id: str, candidate_id: str, champion_id: str, *, promoted: bool, old: float, new: float
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "weights_path": "finetune_weight/best_finetune.pt",
        "metrics": scores(new),
        "champion_metrics": scores(old),
        "log_path": f"logs/{run_id}.log",
        "dataset_size": 36,
        "feedback_samples": 11,
        "replay_samples": 24,
        "holdout_samples": 1,
        "hyperparameters": request().hyperparameters,
        "verdict": "pass" if promoted else "fail",
        "verdict_reason": f"mAP50-95 {old * 100:.1f} → {new * 100:.1f} on 54 base test images.",
        "promoted": promoted,
        "checkpoint_id": candidate_id,
        "champion_id": candidate_id if promoted else champion_id,
        "dataset_digest": "a" * 64,
        "quarantined": [],
    }
