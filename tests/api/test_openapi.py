import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import TypeAdapter

from api import examples, review_examples
from api.event_stream import RunEventView
from api.routes.images import UploadedImage
from core import __version__, config
from core.feedback.batches import BatchDetail, BatchView
from core.feedback.imports.inspection import ImportReport
from core.registry.checkpoint_views import CheckpointView
from core.registry.handover import HandoverState
from core.registry.ledger import LedgerView, PublishedModel
from core.registry.onnx_exports import OnnxExport
from core.registry.provenance import LearnedSample, Sighting
from core.registry.webhooks import DeliveryView, NewWebhook, WebhookView
from core.schemas import (
    BatchScoreView,
    DatasetPreview,
    FeedbackRequest,
    FilledSample,
    FillGapsRequest,
    FineTuneRequest,
    FineTuneSummary,
    QuarantinedImage,
    RetrainRequest,
    RunView,
    Wire,
)
from core.schemas_review import (
    BulkVerdictRequest,
    BulkVerdictResult,
    CorrectionRequest,
    SampleCounts,
    SampleSummary,
    SampleView,
)

CHECKOUT = Path(__file__).parents[2]
DOCUMENT = CHECKOUT / "docs" / "openapi.json"


def shipped_defaults() -> dict[str, str]:
    """The environment with every default hyperparameter as it ships, whatever this machine has set."""
    fields = config.DefaultHyperparameters.model_fields
    return os.environ | {f"TMS_DEFAULT_{name.upper()}": str(field.default) for name, field in fields.items()}


def test_the_document_in_docs_is_the_one_that_is_served():
    command = [sys.executable, "-m", "api.app", "--openapi"]
    written = subprocess.run(
        command, cwd=CHECKOUT, env=shipped_defaults(), capture_output=True, text=True, check=True
    )
    assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == json.loads(written.stdout), (
        "The API changed. Renew its document: python -m api.app --openapi > docs/openapi.json"
    )


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        *((FineTuneRequest, one["value"]) for one in examples.FINE_TUNE_REQUESTS.values()),
        (FineTuneSummary, examples.SUMMARY),
        (DatasetPreview, examples.PREVIEW),
        (QuarantinedImage, examples.QUARANTINED),
        (UploadedImage, examples.UPLOADED_IMAGE),
        (ImportReport, examples.IMPORT_REPORT),
        (RunView, examples.QUEUED_RUN),
        (RunView, examples.STOPPING_RUN),
        (RunView, examples.RETRY),
        (RunView, examples.QUEUED_RETRAIN),
        (RunEventView, examples.BATCH_EVENT),
        *((FeedbackRequest, one["value"]) for one in examples.FEEDBACK_REQUESTS.values()),
        *((RetrainRequest, one["value"]) for one in examples.RETRAIN_REQUESTS.values()),
        (BatchView, examples.BATCH),
        (BatchDetail, examples.BATCH_DETAIL),
        (BatchDetail, examples.NEW_BATCH),
        (CheckpointView, examples.CHECKPOINT),
        (LearnedSample, examples.LEARNED_SAMPLE),
        (list[Sighting], examples.SIGHTINGS),
        (FillGapsRequest, examples.FILL_GAPS),
        *((FilledSample, one) for one in examples.FILLED_SAMPLES),
        (BatchScoreView, examples.BATCH_SCORE),
        *((CorrectionRequest, one["value"]) for one in review_examples.CORRECTIONS.values()),
        *((BulkVerdictRequest, one["value"]) for one in review_examples.BULK_VERDICTS.values()),
        (BulkVerdictResult, review_examples.BULK_RESULT),
        (SampleCounts, review_examples.COUNTS),
        (SampleSummary, review_examples.SUMMARY),
        (SampleView, review_examples.SAMPLE),
        (PublishedModel, examples.PUBLISHED_MODEL),
        (LedgerView, examples.LEDGER_ENTRY),
        (HandoverState, examples.HANDOVER),
        (OnnxExport, examples.ONNX_EXPORT),
        (NewWebhook, examples.NEW_WEBHOOK),
        (WebhookView, examples.WEBHOOK),
        (DeliveryView, examples.DELIVERY),
    ],
)
def test_each_example_is_what_its_model_says(kind, example):
    adapter = TypeAdapter(kind)
    asked = adapter.dump_python(adapter.validate_python(example), mode="json", exclude_unset=True)
    assert asked == example
    if not (isinstance(kind, type) and issubclass(kind, Wire)):
        assert adapter.dump_python(adapter.validate_python(example), mode="json") == example


def test_errors_are_described_as_problems(app: FastAPI):
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            errors = {status: one for status, one in operation["responses"].items() if status >= "400"}
            wrong = [
                status
                for status, one in errors.items()
                if list(one["content"]) != ["application/problem+json"]
            ]
            assert not wrong, (method, path, wrong)
    described = app.openapi()["paths"]["/api/finetune"]["post"]["responses"]
    assert {"200", "202", "401", "403", "409", "413", "421", "422", "500", "503", "507"} == set(described)


def test_every_hyperparameter_is_described_with_its_range(app: FastAPI):
    fields = app.openapi()["components"]["schemas"]["FineTuneRequest"]["properties"]
    assert all(field.get("description") for field in fields.values())
    assert (fields["epochs"]["minimum"], fields["epochs"]["maximum"], fields["image_size"]["multipleOf"]) == (
        1,
        1000,
        32,
    )


def test_every_route_is_documented(app: FastAPI):
    text = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
    for context in iter_route_contexts(app.routes):
        for method in context.methods - {"HEAD"}:
            assert re.search(rf"^#+ `{method} {re.escape(context.path)}`", text, re.MULTILINE), (
                method,
                context.path,
            )


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
