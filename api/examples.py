"""Examples of requests and answers for the API documentation; a test checks each against its model."""

import json
from typing import Any

_IMAGE_URL = "http://127.0.0.1:8002/demo/feedback/T901_normal_001.jpg"
_RUN_ID = "run-01981c5d2f7a7c3e9d4b6a8f10e2c3d4"
_CHECKPOINT_ID = "ckpt-01981c5f0b3e7d1a8c5f2e9b47a6d0c1"
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_BOX = {"x_min": 212.0, "y_min": 148.5, "x_max": 268.0, "y_max": 231.0}
_HYPERPARAMETERS: dict[str, Any] = {
    "epochs": 2, "batch_size": 4, "image_size": 320, "learning_rate": 0.0001, "weight_decay": 0.0001,
    "momentum": 0.937, "freeze": 10, "train_replay": 24, "replay_strategy": "stream", "optimizer": "AdamW",
    "patience": 0, "time_budget_s": None, "blend": 1.0, "seed": 1337, "device": None,
}  # fmt: skip
_METRICS = {
    "metrics/precision(B)": 0.71, "metrics/recall(B)": 0.64, "metrics/mAP50(B)": 0.68,
    "metrics/mAP50-95(B)": 0.41, "fitness": 0.437,
}  # fmt: skip

QUARANTINED: dict[str, Any] = {
    "index": 3, "image_url": _IMAGE_URL, "sample_id": None, "code": "http_status",
    "detail": "The host answered 404.", "repair": "Check the address, then post the image again.",
}  # fmt: skip

REQUEST: dict[str, Any] = {
    "images": [{"image_url": _IMAGE_URL, "detections": [{"box": _BOX, "class_id": 0}]}],
    "epochs": 2,
    "image_size": 320,
    "train_replay": 24,
}

FINE_TUNE_REQUESTS: dict[str, Any] = {
    "corrections": {"summary": "An image with the box it should have had", "value": REQUEST},
    "false alarm": {
        "summary": "An image in which nothing should have been found",
        "value": {"images": [{"image_url": _IMAGE_URL, "detections": [], "group": "transformer-17"}]},
    },
    "dry run": {"summary": "What would be learned from", "value": {**REQUEST, "dry_run": True}},
}

SUMMARY: dict[str, Any] = {
    "run_id": _RUN_ID,
    "weights_path": "finetune_weight/best_finetune.pt",
    "metrics": _METRICS,
    "champion_metrics": _METRICS | {"metrics/mAP50-95(B)": 0.40, "fitness": 0.428},
    "log_path": f"logs/{_RUN_ID}.log",
    "dataset_size": 35,
    "feedback_samples": 11,
    "replay_samples": 24,
    "holdout_samples": 0,
    "hyperparameters": _HYPERPARAMETERS,
    "verdict": "not_enough_evidence",
    "verdict_reason": "Not worse on the base test set; too few held-out feedback images to prove a gain.",
    "promoted": True,
    "checkpoint_id": _CHECKPOINT_ID,
    "champion_id": _CHECKPOINT_ID,
    "dataset_digest": _DIGEST,
    "quarantined": [QUARANTINED],
}

PREVIEW: dict[str, Any] = {
    "dry_run": True,
    "feedback_samples": 12,
    "replay_samples": 24,
    "dataset_size": 36,
    "boxes_per_class": {"hotspot": 14},
    "base_images": 120,
    "base_boxes_per_class": {"hotspot": 163},
    "expected_duration_s": 41.5,
    "warnings": ["A fine-tune on fewer than 20 images moves the weights little."],
    "hyperparameters": _HYPERPARAMETERS,
}

FINE_TUNE_ANSWERS: dict[str, Any] = {
    "succeeded": {"summary": "The run succeeded", "value": SUMMARY},
    "dry run": {"summary": "Nothing was started", "value": PREVIEW},
}

QUEUED_RUN: dict[str, Any] = {
    "id": _RUN_ID,
    "status": "queued",
    "source": "api",
    "actor": "local",
    "note": None,
    "created_at": "2026-01-12T09:30:00+00:00",
    "started_at": None,
    "finished_at": None,
    "heartbeat_at": None,
    "queue_position": 0,
    "expected_start_at": None,
    "epochs_done": 0,
    "wanted": None,
    "continues_id": None,
    "summary": None,
    "error": None,
}

STOPPING_RUN: dict[str, Any] = {
    **QUEUED_RUN,
    "status": "training",
    "started_at": "2026-01-12T09:30:01+00:00",
    "heartbeat_at": "2026-01-12T09:30:24+00:00",
    "queue_position": None,
    "epochs_done": 1,
    "wanted": "stop",
}

RETRY: dict[str, Any] = {
    **QUEUED_RUN,
    "id": "run-01981c6a4e1d7b52a6c0d9f3b8e7a215",
    "epochs_done": 1,
    "continues_id": _RUN_ID,
}

PUBLISHED_MODEL: dict[str, Any] = {
    "id": _CHECKPOINT_ID,
    "sha256": _DIGEST,
    "class_names": ["hotspot", "cold spot"],
    "parent_id": "ckpt-01981b0c6e2f7a93b1d40c8e5f6a7b21",
    "run_id": _RUN_ID,
    "dataset_digest": _DIGEST,
    "recipe": _HYPERPARAMETERS,
    "libraries": {"torch": "2.15.0", "ultralytics": "8.4.190"},
    "host": "gpu-1",
    "created_at": "2026-01-12T09:31:40+00:00",
    "action": "promote",
    "promoted_by": "system",
    "promoted_at": "2026-01-12T09:31:52+00:00",
    "reason": "mAP50-95 40.0 → 41.0 (+1.0 points) on 244 base test images: no loss.",
    "verdict": "pass",
    "is_override": False,
    "live_until": None,
}

LEDGER_ENTRY: dict[str, Any] = {
    "id": 17,
    "action": "rollback",
    "checkpoint_id": "ckpt-01981b0c6e2f7a93b1d40c8e5f6a7b21",
    "previous_id": _CHECKPOINT_ID,
    "run_id": None,
    "actor": "night-shift",
    "reason": "It misses loose joints in the rain.",
    "verdict": None,
    "is_override": False,
    "created_at": "2026-01-12T22:04:11+00:00",
}

SERVICE: dict[str, Any] = {
    "service": "line-3",
    "actor": "inference",
    "sha256": _DIGEST,
    "checkpoint_id": _CHECKPOINT_ID,
    "is_current": True,
    "since": "2026-01-12T09:32:03+00:00",
    "seen_at": "2026-01-12T11:47:03+00:00",
}

HANDOVER: dict[str, Any] = {
    "champion_id": _CHECKPOINT_ID,
    "sha256": _DIGEST,
    "published_at": "2026-01-12T09:31:52+00:00",
    "services": [SERVICE],
}

WEBHOOK: dict[str, Any] = {
    "id": "webhook-01981d02b7c47e5f9a3d6c1e8f40b257",
    "url": "https://inference.example/hooks/tms",
    "events": ["promoted", "rolled_back"],
    "actor": "local",
    "created_at": "2026-01-12T08:00:00+00:00",
    "pending": 0,
    "delivered": 12,
    "dead": 0,
    "last_error": None,
}

NEW_WEBHOOK: dict[str, Any] = {
    **WEBHOOK,
    "delivered": 0,
    "secret": "whsec_8sX2v0mQ4bN7cT1kY5wR3zJ6hL9pF0aD2gE4uI6oS8k",
}

DELIVERY: dict[str, Any] = {
    "id": "delivery-01981d05a1f97c3b8e2d4f6a7b9c0d1e",
    "event": "promoted",
    "subject": "17",
    "status": "pending",
    "tries": 2,
    "due_at": "2026-01-12T09:32:24+00:00",
    "error": "https://inference.example/hooks/tms answered 503.",
    "created_at": "2026-01-12T09:31:52+00:00",
    "delivered_at": None,
}

ONNX_EXPORT: dict[str, Any] = {
    "checkpoint_id": _CHECKPOINT_ID,
    "sha256": _DIGEST,
    "size_bytes": 12_653_195,
    "image_size": 640,
    "created_at": "2026-01-12T10:02:17+00:00",
    "parity": {
        "image_count": 40,
        "detection_count": 118,
        "missing_count": 0,
        "extra_count": 0,
        "most_confidence_difference": 0.0002,
        "most_corner_difference_px": 0.04,
    },
    "agrees": True,
}

BATCH_EVENT: dict[str, Any] = {
    "seq": 7,
    "kind": "batch",
    "payload": {
        "epoch": 1, "epochs": 2, "step": 3, "steps": 18, "learning_rate": 0.0001, "images_per_s": 4.2,
        "loss": {"box_loss": 1.31, "cls_loss": 0.94, "dfl_loss": 1.12}, "eta_s": 14.0,
    },
    "created_at": "2026-01-12T09:30:21+00:00",
}  # fmt: skip

EVENT_STREAM = f"event: batch\ndata: {json.dumps(BATCH_EVENT)}\nid: {_RUN_ID}:7\n\n"

LOG = """\
2026-01-12 09:30:04,118 INFO Fetching and checking images 12/12
2026-01-12 09:30:21,640 INFO batch epoch=1 epochs=2 step=3 steps=18
"""
