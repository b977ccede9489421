"""The FastAPI application: its routes, authentication and request metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve import tasks
from serve.api import batches, images, jobs, model, openapi, problems, results, schemas
from serve.api.checking import Checks
from serve.api.context import Context
from serve.api.rates import Rates
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.jobs.options import Options
from serve.jobs.store import JobStore
from serve.metrics import exposition
from serve.metrics.counters import Counters
from serve.storage.opening import open_database, open_files, open_secret
from serve.storage.tokens import NAME, Tokens

PAGE = Path(__file__).with_name("page.html")
# the page is one file with inline style and script; it may load and play only what this server sends
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; media-src 'self' blob:; img-src 'self' data: blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"  # fmt: skip  # noqa: E501
BEARER = HTTPBearer(auto_error=False, description="The token that serve.run printed at its first start")
FLUSH_SECONDS = 1.0


class ReplicaClient(Protocol):
    """Client interface to the model replicas."""

    async def find(
        self, images: Sequence[bytes], model_id: str, options: Options, verb: str
    ) -> dict[str, Any]:
        """See serve.deployment.replica.Replica."""

    async def about(self) -> dict[str, Any]:
        """See serve.deployment.replica.Replica; raises when no replica answers."""


def create_app(settings: Settings, replicas: ReplicaClient) -> FastAPI:
    """The HTTP application of one deployment."""
    tasks.load_all()
    database = open_database(settings)
    counters = Counters(database)
    store = JobStore(database, open_files(settings))
    rollout = Rollout(database, counters)
    tokens = Tokens(open_secret(settings, NAME, database))
    context = Context(settings, store, rollout, counters, tokens, replicas, Checks())
    app = FastAPI(
        title="Object detection in images and videos",
        version="1",
        description="Submit a video to /v1/jobs, follow its progress and download the annotated video; "
        "or send images to /v1/images:detect and get their detections in the response.",
        openapi_url="/openapi.json",
        generate_unique_id_function=lambda route: (
            route.name
        ),  # operationIds, and so a generated client's functions
        docs_url=None,
        redoc_url=None,
    )
    problems.add_handlers(app)
    _add_metrics(app, counters)
    guard = _guard(tokens, Rates(settings.limits.requests_per_minute))
    for routes in (jobs.routes, batches.routes, results.routes, images.routes, model.routes):
        router = routes(context, guard)
        _add_head(router)
        app.include_router(router)
    _plain_routes(app, context, guard)
    openapi.complete(
        app, (schemas.JobRequest, schemas.BatchRequest, schemas.UploadRequest, schemas.Promotion)
    )
    _add_head(app.router)
    return app


def _guard(tokens: Tokens, rates: Rates) -> Callable[[str], Any]:
    """Creates dependencies that require a token with a scope; for reading a job, its ticket is enough.

    rates: of each token's requests.
    """

    def needs(scope: str) -> Any:
        async def check(
            request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
        ) -> None:
            ticket = request.query_params.get("ticket")
            job_id = request.path_params.get("job_id")
            ticketed = scope == "read" and ticket and job_id
            if credentials is None and not ticketed:
                raise Refused(401, "send the header 'Authorization: Bearer <token>'")
            known = await tokens.current()
            if ticketed and known.valid_ticket(str(ticket), str(job_id)):
                return
            if credentials is None:
                raise Refused(401, "send the header 'Authorization: Bearer <token>'")
            token = known.find(credentials.credentials)
            if token is None:
                raise Refused(401, "unknown token, or one that was revoked or has expired")
            if scope not in token.scopes:
                raise Refused(403, f"this token does not allow {scope}; it allows {', '.join(token.scopes)}")
            rates.count(token.name)
            request.state.scopes = token.scopes

        return Depends(check)

    return needs


def _plain_routes(app: FastAPI, context: Context, guard: Callable[[str], Any]) -> None:
    @app.get("/", response_class=HTMLResponse, summary="Web page", tags=["page"])
    def get_page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers={"Content-Security-Policy": POLICY})

    @app.get("/healthz", summary="Whether the HTTP process is alive", tags=["health"])
    async def get_health() -> dict[str, str]:  # on the event loop: no thread that others keep busy
        return {"status": "ok"}

    @app.get(
        "/readyz",
        summary="Whether a model is loaded; with a token, also why not, and why the last rollout failed",
        tags=["health"],
        responses={503: {"description": "Not ready", "content": {"application/json": {}}}},
        openapi_extra={"security": [{}, {"HTTPBearer": []}]},
    )
    async def get_readiness(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)] = None,
    ) -> Response:
        answer, ready = await readiness()
        known = credentials and (await context.tokens.current()).find(credentials.credentials)
        # reasons name paths, and models, of the server
        return JSONResponse(answer | {"ready": ready} if known else {"ready": ready}, 200 if ready else 503)

    async def readiness() -> tuple[dict[str, Any], bool]:
        state = await asyncio.to_thread(context.rollout.state)
        answer: dict[str, Any] = {"model": state.champion}
        candidate = state.candidate
        if candidate is not None and candidate.phase in ("failed", "rolled back"):
            answer["candidate"] = {"model": candidate.model, "state": candidate.phase, "why": candidate.why}
        try:
            about = await context.replicas.about()
        except Exception as error:  # noqa: BLE001 - the reason is the response
            return answer | {"why": f"no replica answers ({type(error).__name__})"}, False
        if state.champion is not None and about["problem"] is None:
            return answer, True
        return answer | {"why": about["problem"] or "no model was promoted yet"}, False

    @app.get(
        "/metrics",
        summary="Metrics in Prometheus' text format, or in OpenMetrics",
        tags=["health"],
        dependencies=[guard("read")],
        response_class=PlainTextResponse,
        responses={status: images.ERRORS[status] for status in (401, 403, 429)},
    )
    def get_metrics(request: Request) -> Response:
        context.counters.flush()
        accept = request.headers.get("accept", "")
        text, media_type = exposition.body(context.counters, context.store, accept)
        return Response(text, headers={"Content-Type": media_type})


def _add_head(router: APIRouter) -> None:
    """Answer HEAD wherever GET is answered, except for events, which have no end."""
    for route in list(router.routes):
        if isinstance(route, APIRoute) and route.methods == {"GET"} and not route.path.endswith("/events"):
            router.add_api_route(
                route.path.removeprefix(router.prefix),
                route.endpoint,
                methods=["HEAD"],
                include_in_schema=False,
                response_model=None,
                dependencies=route.dependencies,
                response_class=route.response_class,
                name=f"head_{route.name}",
            )


def _add_metrics(app: FastAPI, counters: Counters) -> None:
    """Middleware: count requests, turn unexpected errors into problems, and set security headers."""
    app.add_middleware(Counting, counters=counters)


class Counting:
    """See _add_metrics. Plain ASGI: Starlette's own middleware of functions takes a task and two queues a request."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app, self._counters = app, counters
        # in a thread of its own: while the database is locked, requests are still answered
        self._flusher = ThreadPoolExecutor(1, "counters")
        self._flushed = time.monotonic()
        self._pending: Future[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._count(scope, status, time.perf_counter() - began)
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # no traceback may reach a client
            problems.log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            if status:
                raise  # a part was sent: the connection ends, so that the client takes it for no whole answer
            failed = problems.problem(500, "unexpected server error; see the server's log")
            await failed(scope, receive, answer)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in ("GET", "POST", "DELETE", "HEAD") else "other"
        self._counters.add("requests", method=method, route=route, status=str(status))
        self._counters.observe("request_seconds", seconds, method=method, route=route)
        if time.monotonic() - self._flushed > FLUSH_SECONDS and (
            self._pending is None or self._pending.done()
        ):
            self._flushed = time.monotonic()
            self._pending = self._flusher.submit(self._counters.flush)
