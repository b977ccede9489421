"""Completes the OpenAPI document: problems, the ticket beside the token, headers of answers, bodies that routes read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from serve.api.problems import Problem

TICKET = {
    "type": "apiKey",
    "in": "query",
    "name": "ticket",
    "description": "`ticket` of a job: reads this job without a token, for 12 hours, as where a page plays its video",
}
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
RETRY_AFTER = {
    "Retry-After": {"description": "seconds until a retry may succeed", "schema": {"type": "integer"}}
}
TAG = {
    "ETag": {"description": "for If-None-Match", "schema": {"type": "string"}},
    "Accept-Ranges": {"description": "bytes", "schema": {"type": "string"}},
}
HEADERS: dict[str, dict[str, Any]] = {
    "206": TAG | {"Content-Range": {"description": "bytes FIRST-LAST/ALL", "schema": {"type": "string"}}},
    "304": {"ETag": TAG["ETag"]},
    "401": {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}},
    "416": {"Content-Range": {"description": "bytes */ALL", "schema": {"type": "string"}}},
    "429": RETRY_AFTER,
    "503": RETRY_AFTER,
    "507": RETRY_AFTER,
}
LOCATION = {"Location": {"description": "path of the job or batch", "schema": {"type": "string"}}}
WITH_LOCATION = {"submit_job", "retry_job", "submit_batch"}


def complete(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Change what `app.openapi()` gives. bodies: of requests that routes read by themselves, and refer to by name."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = plain()
            _add_models(found["components"]["schemas"], (Problem, *bodies))
            found["components"]["securitySchemes"]["Ticket"] = TICKET
            for path, method, operation in _operations(found):
                _complete(operation)
                if method == "get" and "{job_id}" in path:
                    operation["security"].append({"Ticket": []})
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _add_models(schemas: dict[str, Any], models: Sequence[type[BaseModel]]) -> None:
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, part in schema.pop("$defs", {}).items():
            schemas.setdefault(name, part)
        schemas.setdefault(model.__name__, schema)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _complete(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        described = str(response.get("content", "Problem"))
        if status[0] in "45" and ("Problem" in described or "HTTPValidationError" in described):
            response["content"] = PROBLEM
        headers = dict(HEADERS.get(status, {}))
        if status in ("200", "202") and operation["operationId"] in WITH_LOCATION:
            headers |= LOCATION
        if status == "200" and "304" in operation["responses"]:
            headers |= TAG
        if headers:
            response["headers"] = headers
