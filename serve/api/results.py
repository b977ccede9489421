"""/v1/jobs/{id}/...: a job's results, and its progress as server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from serve.api import problems
from serve.api.context import Context
from serve.api.files import answer
from serve.api.jobs import READ_ERRORS
from serve.errors import Refused
from serve.jobs.job import Job
from serve.storage.job_files import INPUT, MANIFEST

EVENT_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0  # proxies close connections that are silent for longer
TYPES = {".webm": "video/webm", ".mp4": "video/mp4", ".gif": "image/gif", ".webp": "image/webp",
         ".jsonl": "application/jsonl", ".json": "application/json"}  # fmt: skip


SOURCE_TYPE = "video/mp4"  # whatever it is, so that a browser plays the file and never renders it as a page


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1", tags=["results"])
    store = context.store

    @router.get(
        "/jobs/{job_id}/events",
        name="follow_job",
        summary="Follow a job by server-sent events until it ends",
        response_class=StreamingResponse,
        dependencies=[guard("read")],
        responses={
            **READ_ERRORS,
            200: {"content": {"text/event-stream": {}}},
            204: {
                "description": "The job has ended, and Last-Event-ID is its last event: do not connect again"
            },
        },
    )
    async def events(
        job_id: str,
        last_event_id: Annotated[
            str | None,
            Header(max_length=100, description="the id of the last event received: it is not sent again"),
        ] = None,
    ) -> Response:
        began = await asyncio.to_thread(store.get, job_id)
        if not began.active and last_event_id == _event(began)[0]:
            return Response(status_code=204)  # a browser's EventSource would connect again and again

        async def stream() -> AsyncIterator[str]:
            last, sent = last_event_id or "", time.monotonic()
            while True:
                try:
                    job = await asyncio.to_thread(store.get, job_id)
                except Refused:  # the job was removed
                    return
                name, text = _event(job)
                if name != last:
                    yield f"id: {name}\nevent: {job.state}\ndata: {text}\n\n"
                    last, sent = name, time.monotonic()
                elif time.monotonic() - sent > HEARTBEAT_SECONDS:
                    yield ": waiting\n\n"
                    sent = time.monotonic()
                if not job.active:
                    return
                await asyncio.sleep(EVENT_SECONDS)

        return StreamingResponse(stream(), media_type="text/event-stream")

    def result(job_id: str, what: str, request: Request, known: str | None) -> Response:
        job = store.get(job_id)
        if job.state != "done":
            raise Refused(
                409,
                f"the job is {job.state}"
                + (f": {job.error}" if job.error else "; results exist only once it is done"),
            )
        try:
            made = json.loads(store.files.read(job, MANIFEST))
        except FileNotFoundError:
            raise Refused(404, "the job's results were removed") from None
        name = MANIFEST if what == "manifest" else made["files"].get(what)
        if name is None:
            raise Refused(404, f"the job's options did not ask for {what}")
        return answer(
            store.files, job, name, TYPES[Path(name).suffix], request, known, context.settings.presigned
        )

    def result_route(what: str, summary: str, *media: str) -> None:
        found = _of_file(summary, *media) | {
            409: {"model": problems.Problem, "description": "The job is not done"}
        }

        @router.get(
            f"/jobs/{{job_id}}/{what}", name=f"get_{what}", summary=summary, response_class=FileResponse,
            dependencies=[guard("read")], responses={**READ_ERRORS, **found},
        )  # fmt: skip
        def fetch(
            job_id: str,
            request: Request,
            if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
        ) -> Response:
            return result(job_id, what, request, if_none_match)

    result_route(
        "video", "Download the annotated video; range requests are supported", "video/webm", "video/mp4"
    )
    result_route("detections", "Download the detections: JSON Lines, one line per frame", "application/jsonl")
    result_route(
        "coco", "Download the detections as COCO results; image_id is the frame index", "application/json"
    )
    result_route("preview", "Download the short animation", "image/gif", "image/webp")
    result_route("manifest", "Show the model, options and numbers of the job", "application/json")

    @router.get(
        "/jobs/{job_id}/source",
        name="get_source",
        summary="Download the original video",
        response_class=FileResponse,
        dependencies=[guard("read")],
        responses={**READ_ERRORS, **_of_file("The video as it was sent", SOURCE_TYPE)},
    )
    def source(
        job_id: str, request: Request, if_none_match: Annotated[str | None, Header(max_length=1000)] = None
    ) -> Response:
        job = store.get(job_id)
        if not store.files.has_input(job_id):
            raise Refused(404, "the original video was removed, not fetched yet, or is kept elsewhere")
        shown = {"Content-Disposition": "inline"}
        return answer(
            store.files, job, INPUT, SOURCE_TYPE, request, if_none_match, context.settings.presigned, shown
        )

    return router


def _of_file(summary: str, *media: str) -> dict[int | str, dict[str, Any]]:
    """The answers that serve.api.files.answer gives."""
    content: dict[str, Any] = {each: {} for each in media}
    return {
        200: {"description": summary, "content": content},
        206: {"description": "The part that Range asks for", "content": content},
        304: {"description": "If-None-Match names the file's ETag"},
        307: {
            "description": "The file is large, and at this address of the store; not for a request with a ticket"
        },
        416: {"model": problems.Problem, "description": "There is no such part"},
    }


def _event(job: Job) -> tuple[str, str]:
    """The id of the event with the job's present state, and its data."""
    text = json.dumps(job.to_dict())
    return hashlib.sha256(text.encode()).hexdigest()[:16], text
