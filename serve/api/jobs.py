"""/v1/jobs: submit a video, list jobs, show one, cancel or remove one."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from serve.api import problems, schemas
from serve.api.context import Context
from serve.api.images import ERRORS
from serve.api.uploads import read_form
from serve.errors import Refused
from serve.jobs import sources
from serve.jobs.job import Job, State
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.store import INPUT
from serve.video.opening import VideoFacts, probe

BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "options": {"type": "string", "description": "Options as JSON"},
                },
            }
        },
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["uri"],
                "additionalProperties": False,
                "properties": {
                    "uri": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 4096,
                        "description": "file:///... or s3://..., in a place that the server allows",
                    },
                    "options": {"$ref": "#/components/schemas/Options"},
                },
            }
        },
    },
}
SUBMIT_ERRORS: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"model": schemas.JobModel, "description": "The existing job of this Idempotency-Key"},
    409: {"model": problems.Problem, "description": "The Idempotency-Key was used with another request"},
    429: {
        "model": problems.Problem,
        "description": "The queue is full, or too many requests; see Retry-After",
    },
    507: {"model": problems.Problem, "description": "The server's disk is nearly full"},
}
READ_ERRORS: dict[int | str, dict[str, Any]] = {
    **{status: ERRORS[status] for status in (401, 403, 422, 429)},
    404: {"model": problems.Problem, "description": "No such job, or it has no such result"},
    409: {"model": problems.Problem, "description": "The job is not done"},
}
CHECKS = 16  # sources that are looked up at the same time


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1", tags=["jobs"])
    settings, store = context.settings, context.store
    checks = ThreadPoolExecutor(CHECKS, "sources")
    checking: set[asyncio.Future[None]] = set()
    read: dict[str, Any] = {"dependencies": [guard("read")], "responses": READ_ERRORS}

    def shown(job: Job) -> dict[str, Any]:
        return job.to_dict() | {"ticket": context.tokens.ticket(job.id)}

    @router.post(
        "/jobs",
        name="submit_job",
        summary="Submit a video for detection",
        status_code=202,
        response_model=schemas.JobModel,
        dependencies=[guard("submit")],
        responses=SUBMIT_ERRORS,
        openapi_extra={"requestBody": BODY},
    )
    async def submit(
        request: Request, idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None
    ) -> Response:
        model = context.rollout.pick()
        incoming = settings.data / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=incoming))
        try:
            name, source, options, facts, digest = await _receive(request, folder)
            job, new = await asyncio.to_thread(
                store.add,
                folder,
                name,
                source,
                options,
                facts,
                model,
                settings.limits.queued,
                idempotency_key,
                digest,
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)
        return JSONResponse(shown(job), 202 if new else 200, headers={"Location": f"/v1/jobs/{job.id}"})

    async def _receive(request: Request, folder: Path) -> tuple[str, str, Options, VideoFacts | None, str]:
        if request.headers.get("content-type", "").split(";")[0].strip() == "application/json":
            wanted = await _json_request(request)
            await check_source(wanted.uri)
            digest = wanted.model_dump_json()
            return wanted.uri.rsplit("/", 1)[-1], wanted.uri, wanted.options, None, digest
        form = await read_form(
            request,
            folder,
            settings.limits.upload_bytes,
            1,
            lambda size: sources.check_disk_space(size, settings),
        )
        unknown = set(form.fields) - {"options"}
        if unknown:
            raise Refused(422, f"unknown field '{min(unknown)[:50]}'; allowed: file, options")
        if not form.files:
            raise Refused(422, "the field 'file' with a video is missing")
        try:
            options = Options.model_validate_json(form.fields.get("options") or "{}")
        except ValidationError as error:
            raise Refused(422, f"options: {problems.first_error(error)}") from None
        name, path, size = form.files[0]
        if size == 0:
            raise Refused(422, "the file is empty; send a video")
        path.replace(folder / INPUT)
        facts = await asyncio.to_thread(probe, folder / INPUT, settings.limits)
        return name, "upload", options, facts, form.digest

    async def check_source(uri: str) -> None:
        """In threads of their own, which a source that does not answer may block without blocking other requests."""
        if len(checking) >= CHECKS:
            raise Refused(503, "too many videos are being looked up; try again later", retry_after=10)
        future = asyncio.get_running_loop().run_in_executor(checks, sources.check, uri, settings)
        checking.add(future)
        future.add_done_callback(checking.discard)
        await future

    async def _json_request(request: Request) -> schemas.JobRequest:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > 1 << 20:
                raise Refused(413, "the JSON body is larger than the limit of 1 MiB")
        try:
            return schemas.JobRequest.model_validate_json(bytes(body))
        except ValidationError as error:
            raise Refused(422, problems.first_error(error)) from None

    @router.get(
        "/jobs", name="list_jobs", summary="List jobs, newest first", response_model=schemas.JobList, **read
    )
    def listed(
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[float | None, Query(allow_inf_nan=False, deprecated=True)] = None,
        cursor: Annotated[str | None, Query(max_length=100, description="`next` of the page before")] = None,
    ) -> Any:
        jobs = store.list_jobs(state, limit + 1, before, cursor)
        following = jobs[limit - 1].cursor if len(jobs) > limit else None
        return {"jobs": [shown(job) for job in jobs[:limit]], "next": following}

    @router.get(
        "/jobs/{job_id}", name="get_job", summary="Show a job", response_model=schemas.JobModel, **read
    )
    def get(job_id: str) -> Any:
        return shown(store.get(job_id))

    @router.delete(
        "/jobs/{job_id}",
        name="delete_job",
        summary="Cancel an active job, or remove an ended one",
        status_code=204,
        dependencies=[guard("submit")],
        responses={
            **READ_ERRORS,
            202: {"model": schemas.JobModel, "description": "The job was active and is now cancelled"},
        },
    )
    def delete(job_id: str) -> Response:
        cancelled = store.cancel(job_id)
        if cancelled is not None:
            context.counters.add("jobs_ended", state="cancelled")
        return Response(status_code=204) if cancelled is None else JSONResponse(shown(cancelled), 202)

    @router.post(
        "/jobs/{job_id}:retry",
        name="retry_job",
        summary="Try a failed job again",
        status_code=202,
        response_model=schemas.JobModel,
        dependencies=[guard("submit")],
        responses={
            **READ_ERRORS,
            409: {"model": problems.Problem, "description": "The job has not failed, or its video is gone"},
        },
    )
    def retry(job_id: str) -> Response:
        job = store.get(job_id)
        if job.source == "upload" and not (store.folder(job_id) / INPUT).exists():
            raise Refused(409, "the job's video was removed; submit it again")
        champion = context.rollout.state().champion
        JobQueue(context.store.database).retry(job, champion or job.model)
        return JSONResponse(shown(store.get(job_id)), 202, headers={"Location": f"/v1/jobs/{job.id}"})

    return router
