"""The OpenAPI document, with errors under their own media type."""

from typing import Any

from fastapi import FastAPI

from api.problems import MEDIA_TYPE

_PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def describe(app: FastAPI) -> None:
    """Let the app describe itself with problem+json, which FastAPI cannot say in `responses=`."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _name_problems(generate())
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


def _name_problems(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                _name_problem(response.get("content", {}))


def _name_problem(content: dict[str, Any]) -> None:
    # Whatever FastAPI has put there: it takes the media type of the route's own answer, which may be text.
    for media_type, described in list(content.items()):
        if described.get("schema") == _PROBLEM_SCHEMA:
            content[MEDIA_TYPE] = content.pop(media_type)
