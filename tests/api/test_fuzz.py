"""Schemathesis plays with every operation: whatever it sends, the answer is a described one."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from api.app import create_app
from tests.api.conftest import serving
from tests.factories import make_settings
from tests.unit.registry.factories import promote, register

OPERATIONS = [
    found.ok() for found in schemathesis.openapi.from_dict(create_app().openapi()).get_all_operations()
]
TAKES_INPUT = [one for one in OPERATIONS if any(one.iter_parameters()) or one.body]
# With these wrong, the HTTP server refuses the request before the application sees it.
FRAMING = {"connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"}
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = make_settings(tmp_path_factory.mktemp("fuzz"))
    app = create_app(settings)
    with serving(app, settings) as (_, address):
        promote(app.state.store, register(app.state.store, b"weights"), None)
        yield f"http://{address}"


def play(operation: APIOperation, mode: GenerationMode, address: str, examples: int) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @budget(max_examples=examples, suppress_health_check=list(HealthCheck))
    def send(case: Case) -> None:
        for name in [name for name in case.headers or {} if name.lower() in FRAMING]:
            del case.headers[name]
        # Without a worker a plain call would wait for ever.
        headers = {"Prefer": "respond-async"} if case.path == "/api/finetune" else {}
        answer = case.call(base_url=address, headers=headers)
        assert answer.status_code != 500
        case.validate_response(answer, checks=CHECKS)

    send()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_what_the_document_allows_is_answered_as_described(operation: APIOperation, address: str):
    play(operation, GenerationMode.POSITIVE, address, examples=25)


@pytest.mark.parametrize("operation", TAKES_INPUT, ids=lambda operation: operation.label)
def test_what_the_document_forbids_breaks_nothing(operation: APIOperation, address: str):
    play(operation, GenerationMode.NEGATIVE, address, examples=60)
