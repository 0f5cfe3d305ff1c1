"""The tables: what is remembered, one class each.

Rows of `correction`, `sample_verdict`, `quarantine_repair`, `run_event`, `evaluation` and `ledger_entry` are
only ever added.
"""

from core.store.tables.access import ApiKey
from core.store.tables.base import Base, UtcDateTime, utc_now
from core.store.tables.feedback import (
    SAMPLE_STATUSES,
    VERDICT_DECISIONS,
    Batch,
    BatchScore,
    Correction,
    Disagreement,
    Fingerprint,
    Prediction,
    QuarantineRepair,
    Sample,
    SampleClass,
    SampleVerdict,
    Upload,
)
from core.store.tables.handover import DELIVERY_STATES, Acknowledgement, Delivery, Webhook, Witness
from core.store.tables.judging import Comparison, EvaluationSet, JudgedImage, PinnedImage
from core.store.tables.registry import (
    Checkpoint,
    DatasetRevision,
    Evaluation,
    LedgerEntry,
    RevisionSample,
)
from core.store.tables.runs import IdempotencyKey, Run, RunEvent, RunTransition, Worker

__all__ = [
    "DELIVERY_STATES",
    "SAMPLE_STATUSES",
    "VERDICT_DECISIONS",
    "Acknowledgement",
    "ApiKey",
    "Base",
    "Batch",
    "BatchScore",
    "Checkpoint",
    "Comparison",
    "Correction",
    "DatasetRevision",
    "Delivery",
    "Disagreement",
    "Evaluation",
    "EvaluationSet",
    "Fingerprint",
    "IdempotencyKey",
    "JudgedImage",
    "LedgerEntry",
    "PinnedImage",
    "Prediction",
    "QuarantineRepair",
    "RevisionSample",
    "Run",
    "RunEvent",
    "RunTransition",
    "Sample",
    "SampleClass",
    "SampleVerdict",
    "Upload",
    "UtcDateTime",
    "Webhook",
    "Witness",
    "Worker",
    "utc_now",
]
