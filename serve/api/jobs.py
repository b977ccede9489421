"""/v1/jobs: videos in; where they stand; no longer wanted."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
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
                    "options": {"type": "string", "description": "JSON of Options"},
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
                        "description": "file:///... or s3://... that the server allows",
                    },
                    "options": {"$ref": "#/components/schemas/Options"},
                },
            }
        },
    },
}
SUBMIT_ERRORS: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"model": schemas.JobModel, "description": "the job that this Idempotency-Key made before"},
    409: {"model": problems.Problem, "description": "the Idempotency-Key was used for something else"},
    429: {"model": problems.Problem, "description": "the queue is full; see Retry-After"},
    507: {"model": problems.Problem, "description": "the disk is nearly full"},
}
READ_ERRORS: dict[int | str, dict[str, Any]] = {
    **{status: ERRORS[status] for status in (401, 403, 422)},
    404: {"model": problems.Problem, "description": "no such job, or no such result of it"},
    409: {"model": problems.Problem, "description": "the job is not done"},
}


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1", tags=["jobs"])
    settings, store = context.settings, context.store
    read: dict[str, Any] = {"dependencies": [guard("read")], "responses": READ_ERRORS}

    def shown(job: Job) -> dict[str, Any]:
        return job.to_dict() | {"ticket": context.tokens.ticket(job.id)}

    @router.post(
        "/jobs",
        summary="Have a video looked at",
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
            name, source, options, facts, digest = await _taken_in(request, folder)
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

    async def _taken_in(request: Request, folder: Path) -> tuple[str, str, Options, VideoFacts | None, str]:
        if request.headers.get("content-type", "").split(";")[0].strip() == "application/json":
            wanted = await _json_request(request)
            await asyncio.to_thread(sources.check, wanted.uri, settings)
            digest = wanted.model_dump_json()
            return wanted.uri.rsplit("/", 1)[-1], wanted.uri, wanted.options, None, digest
        form = await read_form(
            request, folder, settings.limits.upload_bytes, 1, lambda size: sources.check_room(size, settings)
        )
        unknown = set(form.fields) - {"options"}
        if unknown:
            raise Refused(422, f"unknown field '{min(unknown)[:50]}'; known are file and options")
        if not form.files:
            raise Refused(422, "there is no field 'file' with a video")
        try:
            options = Options.model_validate_json(form.fields.get("options") or "{}")
        except ValidationError as error:
            raise Refused(422, f"options: {problems.first_of(error)}") from None
        name, path, size = form.files[0]
        if size == 0:
            raise Refused(422, "the file is empty; give a video")
        path.replace(folder / INPUT)
        facts = await asyncio.to_thread(probe, folder / INPUT, settings.limits)
        return name, "upload", options, facts, form.digest

    async def _json_request(request: Request) -> schemas.JobRequest:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > 1 << 20:
                raise Refused(413, "a JSON body of more than a megabyte is not taken")
        try:
            return schemas.JobRequest.model_validate_json(bytes(body))
        except ValidationError as error:
            raise Refused(422, problems.first_of(error)) from None

    @router.get("/jobs", summary="Jobs, newest first", response_model=schemas.JobList, **read)
    def listed(
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    ) -> Any:
        return {"jobs": [shown(job) for job in store.listed(state, limit, before)]}

    @router.get("/jobs/{job_id}", summary="Where a job stands", response_model=schemas.JobModel, **read)
    def get(job_id: str) -> Any:
        return shown(store.get(job_id))

    @router.delete(
        "/jobs/{job_id}",
        summary="Cancel a job, or remove one that has ended",
        status_code=204,
        dependencies=[guard("submit")],
        responses={
            **READ_ERRORS,
            202: {"model": schemas.JobModel, "description": "it was active, and is cancelled"},
        },
    )
    def delete(job_id: str) -> Response:
        cancelled = store.cancel(job_id)
        return Response(status_code=204) if cancelled is None else JSONResponse(shown(cancelled), 202)

    return router
