"""Examples of requests and answers for the API documentation; a test checks each against its model."""

import json
from typing import Any

_IMAGE_URL = "http://127.0.0.1:8002/demo/feedback/T901_normal_001.jpg"
_RUN_ID = "run-01981c5d2f7a7c3e9d4b6a8f10e2c3d4"
_CHECKPOINT_ID = "ckpt-01981c5f0b3e7d1a8c5f2e9b47a6d0c1"
_PARENT_ID = "ckpt-01981c4b7d2f7e60b1a9c3d5e8f70412"
_BATCH_ID = "batch-01981c5d2f787b0a96e4d1c2b3a40f5e"
_SAMPLE_ID = "sample-01981c5d2f797c1ba7f5e2d3c4b5106f"
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

UPLOADED_IMAGE: dict[str, Any] = {
    "image_url": f"blob:{_DIGEST}", "sha256": _DIGEST, "width": 640, "height": 480,
}  # fmt: skip

IMPORT_REPORT: dict[str, Any] = {
    "format": "coco", "batch_id": "batch-01981c5d2f7a7c3e9d4b6a8f10e2c3d4", "images": 2, "boxes": 3,
    "images_without_box": 0, "images_left_out": 1, "boxes_left_out": 0,
    "classes": [
        {"name": "Hot-Joint", "boxes": 3, "live_name": "hot joint", "why": "alike"},
        {"name": "bird", "boxes": 1, "live_name": None, "why": "chosen"},
    ],
    "problems": [
        {
            "file": "T9_004.jpg", "place": None, "detail": "No label belongs to this image.",
            "repair": "Label it.", "costs": "image",
        }
    ],
    "problem_count": 1,
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

FEEDBACK_REQUESTS: dict[str, Any] = {
    "corrections": {
        "summary": "An image with the box it should have had",
        "value": {"images": REQUEST["images"], "note": "night shift"},
    },
}

RETRAIN_REQUESTS: dict[str, Any] = {
    "retrain": {"summary": "A run", "value": {"train_replay": 200, "note": "all of January"}},
    "dry run": {"summary": "What would be learned from", "value": {"train_replay": 200, "dry_run": True}},
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
    "filled_boxes": 0,
    "hyperparameters": _HYPERPARAMETERS,
    "verdict": "not_enough_evidence",
    "verdict_reason": (
        "mAP50-95 40.0 → 42.1 (+2.1 points; 95 % interval -3.8 to +7.9) on 54 base test images in 9 groups: "
        "no loss beyond the 1.0 points that may be lost is seen, but none is ruled out. To tell would take "
        "about 126 more images. No feedback is held out for judging yet, so no gain on it can be proven."
    ),
    "images_needed": 126,
    "judged_on": [
        {
            "set_name": "test",
            "set_digest": _DIGEST,
            "comparison_id": "comparison-01928f6e2a7c7d3e8c1b2a3f4d5e6f70",
            "image_count": 54,
            "group_count": 9,
            "champion": 0.400,
            "candidate": 0.421,
            "low_95": -0.038,
            "high_95": 0.079,
        }
    ],
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
    "replay_pool_feedback": 31,
    "holdout_samples": 9,
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
    "learns_from": "batch",
    "batch_id": _BATCH_ID,
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

QUEUED_RETRAIN: dict[str, Any] = {**QUEUED_RUN, "learns_from": "approved", "note": "all of January"}

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

_SAMPLE_ID = "sample-01981c5d3a2b7e4f8c6d9b0a1f2e3d4c"

FILL_GAPS: dict[str, Any] = {"sample_ids": [_SAMPLE_ID], "min_confidence": 0.6}

FILLED_SAMPLES: list[dict[str, Any]] = [{"sample_id": _SAMPLE_ID, "added": 2, "version": 2, "reason": None}]

BATCH_SCORE: dict[str, Any] = {
    "batch_id": "batch-01981c5d2f7a7c3e9d4b6a8f10e2c3d4",
    "created_at": "2026-01-12T09:30:00+00:00",
    "source": "api",
    "checkpoint_id": _CHECKPOINT_ID,
    "image_count": 12,
    "set_digest": _DIGEST,
    "metrics": _METRICS,
    "per_class": [
        {
            "class_id": 0, "class_name": "hotspot", "box_count": 14, "precision": 0.71, "recall": 0.64,
            "ap50": 0.68, "ap50_95": 0.41,
        }
    ],
    "scored_at": "2026-01-12T09:31:12+00:00",
}  # fmt: skip

EVENT_STREAM = f"event: batch\ndata: {json.dumps(BATCH_EVENT)}\nid: {_RUN_ID}:7\n\n"

LOG = """\
2026-01-12 09:30:04,118 INFO Fetching and checking images 12/12
2026-01-12 09:30:21,640 INFO batch epoch=1 epochs=2 step=3 steps=18
"""

BATCH: dict[str, Any] = {
    "id": _BATCH_ID,
    "source": "api",
    "actor": "night-feed",
    "note": "night shift",
    "is_trusted": False,
    "created_at": "2026-01-12T09:30:00+00:00",
    "taken_in_at": "2026-01-12T09:30:06+00:00",
    "samples": 12,
    "waiting": 0,
    "statuses": {"pending": 2, "approved": 8, "rejected": 1, "quarantined": 1},
    "reasons": {"fetch_not_found": 1},
}

BATCH_DETAIL: dict[str, Any] = {**BATCH, "quarantined": [QUARANTINED]}

NEW_BATCH: dict[str, Any] = {
    **BATCH,
    "taken_in_at": None,
    "waiting": 12,
    "statuses": {"pending": 12, "approved": 0, "rejected": 0, "quarantined": 0},
    "reasons": {},
    "quarantined": [],
}

CHECKPOINT: dict[str, Any] = {
    "id": _CHECKPOINT_ID,
    "sha256": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
    "created_at": "2026-01-12T09:31:10+00:00",
    "parent_id": _PARENT_ID,
    "run_id": _RUN_ID,
    "dataset_digest": _DIGEST,
    "epochs": 2,
    "recipe": _HYPERPARAMETERS,
    "class_names": ["hotspot"],
    "is_live": True,
    "was_live": True,
}

LEARNED_SAMPLE: dict[str, Any] = {
    "sample_id": _SAMPLE_ID,
    "batch_id": _BATCH_ID,
    "client_sample_id": None,
    "image_url": _IMAGE_URL,
    "sha256": "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730",
    "role": "feedback",
    "correction_version": 2,
    "detections": [{"xyxy": [212.0, 148.5, 268.0, 231.0], "class_id": 0}],
    "author": "anna",
    "learned_by": _CHECKPOINT_ID,
    "is_direct": True,
}

SIGHTINGS: list[dict[str, Any]] = [
    {
        "checkpoint_id": _CHECKPOINT_ID,
        "created_at": "2026-01-12T09:31:10+00:00",
        "was_live": True,
        "role": "feedback",
        "seen_by": _CHECKPOINT_ID,
        "is_direct": True,
        "sample_id": _SAMPLE_ID,
        "correction_version": 2,
    }
]
