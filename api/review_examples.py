"""Examples of review for the API documentation; a test checks each against its model."""

from typing import Any

_SAMPLE_ID = "sample-01981c5d2f7b7d10a4c89e02b7f3d516"
_BATCH_ID = "batch-01981c5d2f7a7a419be2d5f0837c61aa"
_CHECKPOINT_ID = "ckpt-01981c5f0b3e7d1a8c5f2e9b47a6d0c1"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_OTHER_ID = "sample-01981c5d2f7b7d0f93a16be4c0d2875e"
_POSTED_AT, _CORRECTED_AT = "2026-01-12T09:30:00+00:00", "2026-01-12T10:04:12+00:00"


def _box(x_min: float, y_min: float, x_max: float, y_max: float, **more: Any) -> dict[str, Any]:
    corners = {"x_min": x_min, "y_min": y_min, "x_max": x_max, "y_max": y_max}
    unknown = {"class_name": None, "origin": None, "confidence": None}
    return {"box": corners, "class_id": 0, **unknown, **more}


_POSTED, _CORRECTED = _box(212.0, 148.5, 268.0, 231.0), _box(210.0, 150.0, 262.5, 228.0)

SUMMARY: dict[str, Any] = {
    "id": _SAMPLE_ID,
    "batch_id": _BATCH_ID,
    "position": 3,
    "client_sample_id": "T17/0412",
    "group": "T17",
    "status": "approved",
    "is_holdout": False,
    "revision": 3,
    "width_px": 640,
    "height_px": 480,
    "image_sha256": _SHA256,
    "thumbnail_sha256": _SHA256,
    "version": 2,
    "detections": [_CORRECTED],
    "disagreement": 0.31,
    "warnings": [],
    "reason": None,
    "decided_by": "anna",
    "decided_at": _CORRECTED_AT,
    "created_at": _POSTED_AT,
}

SAMPLE: dict[str, Any] = {
    **SUMMARY,
    "image_url": "https://images.example/T17/0412.jpg",
    "posted": [_POSTED],
    "versions": [
        {
            "version": 1,
            "revision": 1,
            "detections": [_POSTED],
            "author": "night-feed",
            "undoes": None,
            "created_at": _POSTED_AT,
        },
        {
            "version": 2,
            "revision": 2,
            "detections": [_CORRECTED],
            "author": "anna",
            "undoes": None,
            "created_at": _CORRECTED_AT,
        },
    ],
    "verdicts": [
        {
            "id": "verdict-01981c7c41d97f0f8bd3a1e6c25094b7",
            "revision": 3,
            "decision": "approved",
            "actor": "anna",
            "reason": None,
            "undoes": None,
            "created_at": _CORRECTED_AT,
        }
    ],
    "prediction": {
        "checkpoint_id": _CHECKPOINT_ID,
        "detections": [_box(214.1, 151.7, 259.0, 240.2, confidence=0.82)],
        "score": 0.31,
        "differences": [],
    },
    "window": None,
    "cluster": _SAMPLE_ID,
    "conflicts_with_id": None,
    "batch": {
        "id": _BATCH_ID,
        "source": "api",
        "actor": "night-feed",
        "note": None,
        "created_at": _POSTED_AT,
    },
    "previous_id": None,
    "next_id": _OTHER_ID,
}

COUNTS: dict[str, Any] = {
    "matching": 312,
    "by_status": {"pending": 312, "approved": 5_120, "rejected": 204, "quarantined": 17},
    "by_class": {"0": 201, "1": 96, "2": 44},
}

CORRECTIONS: dict[str, Any] = {
    "a box": {
        "summary": "The boxes that the image should have",
        "value": {"detections": [{"box": _CORRECTED["box"], "class_id": 0}]},
    },
    "none": {"summary": "There is nothing to be found", "value": {"detections": []}},
}

BULK_VERDICTS: dict[str, Any] = {
    "named": {
        "summary": "Samples that are named",
        "value": {"decision": "approved", "samples": [{"id": _SAMPLE_ID, "revision": 1}]},
    },
    "filter": {
        "summary": "All that a filter finds",
        "value": {
            "decision": "rejected",
            "reason": "The camera was out of focus.",
            "filter": {"batch_id": _BATCH_ID, "status": "pending"},
            "count": 12,
        },
    },
}

BULK_RESULT: dict[str, Any] = {
    "counts": {"done": 1, "unchanged": 0, "stale": 1, "not_reviewable": 0, "not_found": 0},
    "outcomes": [
        {"id": _SAMPLE_ID, "outcome": "done", "revision": 2, "detail": None},
        {
            "id": _OTHER_ID,
            "outcome": "stale",
            "revision": 2,
            "detail": f"You saw revision 1 of sample {_OTHER_ID}, which is at 2 now. ben rejected it on "
            f"2026-01-12 at 10:03:58 UTC. Look at it again (GET /api/samples/{_OTHER_ID}), then repeat what "
            "you still want.",
        },
    ],
}
