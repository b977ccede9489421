"""The application: routes, and who may use them. What they do is elsewhere."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serve.api import images, jobs, metrics, model, problems, results
from serve.api.context import Context
from serve.api.tokens import Tokens
from serve.deployment.counters import Counters
from serve.deployment.database import Database
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.jobs.options import Options
from serve.jobs.store import JobStore

PAGE = Path(__file__).with_name("page.html")
# the page is one file with its own style and script, and plays what this server sends; nothing else, from nowhere else
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; media-src 'self' blob:; img-src 'self' data: blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"  # fmt: skip  # noqa: E501
BEARER = HTTPBearer(
    auto_error=False, description="the token that was printed when the server was first started"
)
FLUSH_SECONDS = 1.0


class Detecting(Protocol):
    """Whatever answers for the replicas."""

    async def detect(self, images: Sequence[bytes], model_id: str, options: Options) -> dict[str, Any]:
        """See serve.deployment.replica.Replica."""

    async def about(self) -> dict[str, Any]:
        """Likewise; raises when no replica answers."""


def create_app(settings: Settings, detecting: Detecting) -> FastAPI:
    """The application over one deployment's data."""
    database = Database(settings.data / "serve.sqlite")
    counters = Counters(database)
    store = JobStore(database, settings.jobs_folder)
    rollout = Rollout(database, counters)
    tokens = Tokens(settings.data)
    context = Context(settings, store, rollout, counters, tokens, detecting)
    app = FastAPI(
        title="Object detection in images and videos",
        version="1",
        description="Send a video to /v1/jobs, watch it, fetch its annotated result; or images for an answer at once.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    _watch(app, counters)
    guard = _guard(tokens)
    for routes in (jobs.routes, results.routes, images.routes, model.routes):
        app.include_router(routes(context, guard))
    _plain_routes(app, context, guard)
    problems.document(app)
    return app


def _guard(tokens: Tokens) -> Callable[[str], Any]:
    """Gives dependencies that let a request through with a token of the scope, or with a ticket for its job."""

    def needs(scope: str) -> Any:
        async def check(
            request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
        ) -> None:
            ticket = request.query_params.get("ticket")
            job_id = request.path_params.get("job_id")
            if scope == "read" and ticket and job_id and tokens.admits(ticket, job_id):
                return
            if credentials is None:
                raise Refused(401, "send the header 'Authorization: Bearer <token>'")
            scopes = tokens.scopes(credentials.credentials)
            if scopes is None:
                raise Refused(401, "this token is not known here")
            if scope not in scopes:
                raise Refused(403, f"this token may not {scope}; it may {', '.join(scopes)}")

        return Depends(check)

    return needs


def _plain_routes(app: FastAPI, context: Context, guard: Callable[[str], Any]) -> None:
    @app.get("/", response_class=HTMLResponse, summary="A page for people", tags=["page"])
    def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers={"Content-Security-Policy": POLICY})

    @app.get("/healthz", summary="Whether this process answers", tags=["health"])
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        summary="Whether a model is loaded; if not, or if the last candidate was not, why",
        tags=["health"],
        responses={503: {"description": "not ready", "content": {"application/json": {}}}},
    )
    async def readyz() -> Response:
        state = context.rollout.state()
        answer: dict[str, Any] = {"model": state.champion}
        candidate = state.candidate
        if candidate is not None and candidate.phase in ("failed", "rolled back"):
            answer["candidate"] = {"model": candidate.model, "state": candidate.phase, "why": candidate.why}
        try:
            about = await context.detecting.about()
        except Exception as error:  # noqa: BLE001 - whatever keeps the replicas from answering is the answer
            return JSONResponse(
                answer | {"ready": False, "why": f"no replica answers ({type(error).__name__})"}, 503
            )
        ready = state.champion is not None and about["problem"] is None
        why = {} if ready else {"why": about["problem"] or "there is no model"}
        return JSONResponse(answer | {"ready": ready} | why, 200 if ready else 503)

    @app.get(
        "/metrics",
        summary="For Prometheus",
        tags=["health"],
        dependencies=[guard("read")],
        response_class=PlainTextResponse,
        responses={status: images.ERRORS[status] for status in (401, 403)},
    )
    def prometheus() -> Response:
        context.counters.flush()
        text = metrics.text(context.counters, context.store)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _watch(app: FastAPI, counters: Counters) -> None:
    """Count requests; keep results from being sniffed or cached by others."""
    flushed = time.monotonic()

    @app.middleware("http")
    async def count(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        nonlocal flushed
        began = time.perf_counter()
        try:
            response = await go_on(request)
            status = response.status_code
        except Exception as error:  # noqa: BLE001 - the last wall before the client
            problems.log.error("%s %s failed", request.method, request.url.path, exc_info=error)
            response, status = (
                problems.problem(500, "the server met an unexpected error; its log says more"),
                500,
            )
        route = getattr(request.scope.get("route"), "path", "unknown")
        method = request.method if request.method in ("GET", "POST", "DELETE", "HEAD") else "other"
        counters.add("requests", method=method, route=route, status=str(status))
        counters.add("request_seconds", time.perf_counter() - began, method=method, route=route)
        if time.monotonic() - flushed > FLUSH_SECONDS:
            flushed = time.monotonic()
            counters.flush()
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        return response
