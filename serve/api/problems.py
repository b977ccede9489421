"""All errors as application/problem+json (RFC 9457), without tracebacks."""

from __future__ import annotations

import logging
import sqlite3
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from serve.errors import DatabaseFailed, Refused
from trainers.errors import UserError

DATABASE_SECONDS = 5  # until a request may find the database again

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The error response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail).model_dump()
    return JSONResponse(body, status, media_type="application/problem+json", headers=headers)


def first_error(error: ValidationError | RequestValidationError) -> str:
    """The first of pydantic's errors, in one line."""
    first: Any = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def add_handlers(app: FastAPI) -> None:
    """Answer every exception with a problem."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return problem(error.status, error.detail, headers)

    @app.exception_handler(UserError)
    async def user_error(_: Request, error: UserError) -> JSONResponse:
        return problem(422, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem(422, first_error(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request))
        return problem(error.status_code, str(error.detail), headers)

    @app.exception_handler(DatabaseFailed)
    @app.exception_handler(sqlite3.OperationalError)
    async def away(request: Request, error: Exception) -> JSONResponse:
        log.warning("%s %s: the database of jobs: %s", request.method, request.url.path, error)
        return problem(
            503, "the database of jobs does not answer now", {"Retry-After": str(DATABASE_SECONDS)}
        )

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(500, "unexpected server error; see the server's log")


def _methods(app: FastAPI, request: Request) -> list[str]:
    """What the request's path may be asked with: several routes share a path, each with methods of its own."""
    found = set()
    for method in ("GET", "HEAD", "POST", "DELETE"):
        scope = dict(request.scope) | {"method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in app.routes):
            found.add(method)
    return sorted(found)
