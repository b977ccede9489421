"""/v1/jobs: submit a video, list jobs, show one, cancel or remove one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from serve.api import problems, schemas
from serve.api.context import Context
from serve.api.images import ERRORS
from serve.api.uploads import incoming_folder, read_form
from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.exports.model_folder import check_options
from serve.jobs.job import Job, State
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.submission import Submission
from serve.storage import outputs, sources
from serve.storage.job_files import INPUT
from serve.storage.stored_job_files import PLACE_SECONDS, VIDEO, StoredJobFiles
from serve.video.opening import probe
from serve.webhooks.addresses import resolve
from serve.webhooks.outbox import Outbox

M = TypeVar("M", bound=BaseModel)

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
                    "output_uri": {"type": "string", "description": schemas.OUTPUT},
                    "webhook": {"type": "string", "description": schemas.WEBHOOK},
                },
            }
        },
        "application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}},
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
}
LIST_ERRORS: dict[int | str, dict[str, Any]] = {status: ERRORS[status] for status in (401, 403, 422, 429)}
PLACE_BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/UploadRequest"}}},
}
FIELDS = ("options", "output_uri", "webhook")  # of a form, besides the file


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1", tags=["jobs"])
    settings, store = context.settings, context.store
    read: dict[str, Any] = {"dependencies": [guard("read")], "responses": READ_ERRORS}

    def shown(*jobs: Job) -> list[dict[str, Any]]:
        tokens = context.tokens.now()
        return [job.to_dict() | {"ticket": tokens.ticket(job.id)} for job in jobs]

    @router.post(
        "/jobs",
        name="submit_job",
        summary="Submit a video",
        status_code=202,
        response_model=schemas.JobModel,
        dependencies=[guard("submit")],
        responses=SUBMIT_ERRORS,
        openapi_extra={"requestBody": BODY},
    )
    async def submit(
        request: Request, idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None
    ) -> Response:
        await asyncio.to_thread(context.rollout.pick)  # without a model, 503 before the video is sent
        async with incoming_folder(settings.data) as folder:
            sent, digest = await _receive(request, folder)

            def add() -> tuple[dict[str, Any], bool]:
                model = (
                    context.rollout.pick()
                )  # now: while the video was sent, a canary may have been rolled back
                check_options(settings, model, sent.options)
                job, new = store.add(folder, sent, model, settings.limits.queued, idempotency_key, digest)
                if context.rollout.give_back({model}):
                    job = store.get(job.id)
                return shown(job)[0], new

            job, new = await asyncio.to_thread(add)
        return JSONResponse(job, 202 if new else 200, headers={"Location": f"/v1/jobs/{job['id']}"})

    @router.post(
        "/uploads",
        name="place_upload",
        summary="Ask for an address to which a large video is sent, past this server, before its job is submitted",
        status_code=201,
        response_model=schemas.UploadPlace,
        dependencies=[guard("submit")],
        responses={
            **{status: SUBMIT_ERRORS[status] for status in (400, 401, 403, 413, 422, 429, 507)},
            409: {"model": problems.Problem, "description": "The server has its files on its own disk"},
        },
        openapi_extra={"requestBody": PLACE_BODY},
    )
    async def place(request: Request) -> Any:
        return await asyncio.to_thread(placed, await json_body(request, schemas.UploadRequest))

    def placed(wanted: schemas.UploadRequest) -> dict[str, Any]:
        if not isinstance(store.files, StoredJobFiles):
            raise Refused(409, "this server has its files on its own disk; send the video to /v1/jobs")
        check_room(wanted.bytes)
        uri, url = store.files.place(wanted.name, wanted.bytes)
        return {"uri": uri, "url": url, "headers": {"Content-Type": VIDEO}, "seconds": PLACE_SECONDS}

    async def _receive(request: Request, folder: Path) -> tuple[Submission, str]:
        if request.headers.get("content-type", "").split(";")[0].strip() == "application/json":
            wanted = await json_body(request, schemas.JobRequest)
            await check(wanted.output_uri, wanted.webhook)
            sent = await asyncio.to_thread(store.files.uploaded, wanted.uri)
            if sent is not None:
                await asyncio.to_thread(check_room, sent.size)
                name = sources.name_of(wanted.uri)
                place = wanted.output_uri, wanted.webhook, sent.size, sent.key
                return Submission(name, "upload", wanted.options, None, *place), wanted.model_dump_json()
            size = await context.checks.run(sources.check, wanted.uri, settings)
            await asyncio.to_thread(check_room, size)
            made = Submission(
                sources.name_of(wanted.uri), wanted.uri, wanted.options, None, wanted.output_uri, wanted.webhook, size
            )  # fmt: skip
            return made, wanted.model_dump_json()
        form = await read_form(
            request,
            folder,
            settings.limits.upload_bytes,
            1,
            check_room,
        )
        unknown = set(form.fields) - {*FIELDS}
        if unknown:
            raise Refused(422, f"unknown field '{min(unknown)[:50]}'; allowed: file, {', '.join(FIELDS)}")
        if not form.files:
            raise Refused(422, "the field 'file' with a video is missing")
        try:
            options = Options.model_validate_json(form.fields.get("options") or "{}")
        except ValidationError as error:
            raise Refused(422, f"options: {problems.first_error(error)}") from None
        name, path, size = form.files[0]
        if size == 0:
            raise Refused(422, "the file is empty; send a video")
        await asyncio.to_thread(path.replace, folder / INPUT)
        output, webhook = form.fields.get("output_uri") or None, form.fields.get("webhook") or None
        await check(output, webhook)
        facts = await asyncio.to_thread(probe, folder / INPUT, settings.limits)
        return Submission(name, "upload", options, facts, output, webhook), form.digest

    def check_room(size: int) -> None:
        sources.check_disk_space(size, settings)
        store.check_room(size, settings.limits.result_bytes)

    async def check(output: str | None, webhook: str | None) -> None:
        if output is not None or webhook is not None:
            await context.checks.run(check_destinations, output, webhook, settings)

    @router.get(
        "/jobs",
        name="list_jobs",
        summary="List jobs, newest first",
        response_model=schemas.JobList,
        dependencies=[guard("read")],
        responses=LIST_ERRORS,
    )
    def listed(
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[float | None, Query(allow_inf_nan=False, deprecated=True)] = None,
        cursor: Annotated[str | None, Query(max_length=100, description="`next` of the page before")] = None,
        batch: Annotated[str | None, Query(max_length=100, description="only jobs of this batch")] = None,
    ) -> Any:
        jobs = store.list_jobs(state, limit + 1, before, cursor, batch)
        following = jobs[limit - 1].cursor if len(jobs) > limit else None
        return {"jobs": shown(*jobs[:limit]), "next": following}

    @router.get(
        "/jobs/{job_id}", name="get_job", summary="Show a job", response_model=schemas.JobModel, **read
    )
    def get(job_id: str) -> Any:
        return shown(store.get(job_id))[0]

    @router.delete(
        "/jobs/{job_id}",
        name="delete_job",
        summary="Cancel an active job, or remove an ended one",
        status_code=204,
        dependencies=[guard("submit")],
        responses={
            **READ_ERRORS,
            202: {
                "model": schemas.JobModel,
                "description": "The job was active and is now cancelled, unless it has just ended",
            },
        },
    )
    def delete(job_id: str) -> Response:
        cancelled = store.cancel(job_id)
        if cancelled is not None and cancelled.state == "cancelled":
            context.counters.add("jobs_ended", state="cancelled")
        return Response(status_code=204) if cancelled is None else JSONResponse(shown(cancelled)[0], 202)

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
        if job.source == "upload" and not store.files.has_input(job_id):
            raise Refused(409, "the job's video was removed; submit it again")
        champion = context.rollout.state().champion
        JobQueue(context.store.database).retry(job, champion or job.model)
        return JSONResponse(shown(store.get(job_id))[0], 202, headers={"Location": f"/v1/jobs/{job.id}"})

    @router.get(
        "/jobs/{job_id}/deliveries",
        name="list_job_deliveries",
        summary="Show the messages to the job's webhook",
        response_model=schemas.Deliveries,
        **read,
    )
    def deliveries(job_id: str) -> Any:
        store.get(job_id)
        return {"deliveries": [each.to_dict() for each in Outbox(store.database).of(job_id)]}

    return router


async def json_body(request: Request, model: type[M]) -> M:
    """The request's JSON body. Raises Refused: 413 beyond 1 MiB, 400 for a part of one, 422 if it is not the model's.

    A parameter of the route would be read by FastAPI instead: whole, of any size, and before the token is checked.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > 1 << 20:
                raise Refused(413, "the JSON body is larger than the limit of 1 MiB")
    except ClientDisconnect:
        raise Refused(400, "the body is incomplete") from None
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise Refused(422, problems.first_error(error)) from None


def check_destinations(output: str | None, webhook: str | None, settings: Settings) -> None:
    """Raise Refused when results may not be copied to `output`, or `webhook` may not be called."""
    if output is not None:
        outputs.check(output, settings)
    if webhook is not None:
        resolve(webhook, settings.webhook_hosts)
