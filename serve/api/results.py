"""/v1/jobs/{id}/...: a job's results, and its progress as server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import FileResponse, StreamingResponse

from serve.api.context import Context
from serve.api.jobs import READ_ERRORS
from serve.errors import Refused
from serve.jobs.store import INPUT
from serve.video.annotating import RESULT

EVENT_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0  # proxies close connections that are silent for longer
TYPES = {".webm": "video/webm", ".mp4": "video/mp4", ".gif": "image/gif", ".webp": "image/webp",
         ".jsonl": "application/jsonl", ".json": "application/json"}  # fmt: skip


class Result(FileResponse):
    """A file sent in chunks of 1 MiB, because Ray's proxy handles each chunk as a message."""

    chunk_size = 1 << 20


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1", tags=["results"])
    store = context.store
    read: dict[str, Any] = {"dependencies": [guard("read")], "responses": READ_ERRORS}

    @router.get(
        "/jobs/{job_id}/events",
        name="follow_job",
        summary="Follow a job by server-sent events until it ends",
        response_class=StreamingResponse,
        **{**read, "responses": {**READ_ERRORS, 200: {"content": {"text/event-stream": {}}}}},
    )
    async def events(
        job_id: str,
        last_event_id: Annotated[
            str | None,
            Header(max_length=100, description="the id of the last event received: it is not sent again"),
        ] = None,
    ) -> Response:
        await asyncio.to_thread(store.get, job_id)

        async def stream() -> AsyncIterator[str]:
            last, sent = last_event_id or "", time.monotonic()
            while True:
                try:
                    job = await asyncio.to_thread(store.get, job_id)
                except Refused:  # the job was removed
                    return
                text = json.dumps(job.to_dict())
                name = hashlib.sha256(text.encode()).hexdigest()[:16]
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

    def result(job_id: str, what: str, known: str | None) -> Response:
        job = store.get(job_id)
        if job.state != "done":
            raise Refused(
                409,
                f"the job is {job.state}"
                + (f": {job.error}" if job.error else "; results exist only once it is done"),
            )
        folder = store.folder(job_id) / RESULT
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        name = "manifest.json" if what == "manifest" else manifest["files"].get(what)
        if name is None:
            raise Refused(404, f"the job's options did not ask for {what}")
        path = folder / name
        found = path.stat()
        headers = {
            "Cache-Control": "private, max-age=3600",
            "ETag": f'"{found.st_mtime_ns:x}-{found.st_size:x}"',
        }
        if known is not None and (known.strip() == "*" or headers["ETag"] in known):
            return Response(status_code=304, headers=headers)
        return Result(path, media_type=TYPES[path.suffix], headers=headers)

    def result_route(what: str, summary: str, *media: str) -> None:
        found: dict[int | str, dict[str, Any]] = {
            200: {"description": summary, "content": {each: {} for each in media}},
            206: {"description": "The part that Range asks for", "content": {each: {} for each in media}},
            304: {"description": "If-None-Match names the result's ETag"},
            416: {"description": "There is no such part", "content": {"text/plain": {}}},
        }

        @router.get(
            f"/jobs/{{job_id}}/{what}", name=f"get_{what}", summary=summary, response_class=FileResponse,
            dependencies=[guard("read")], responses={**READ_ERRORS, **found},
        )  # fmt: skip
        def fetch(
            job_id: str, if_none_match: Annotated[str | None, Header(max_length=1000)] = None
        ) -> Response:
            return result(job_id, what, if_none_match)

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
        **read,
    )
    def source(job_id: str) -> Response:
        store.get(job_id)
        path = store.folder(job_id) / INPUT
        if not path.exists():
            raise Refused(404, "the original video was removed, or not fetched yet")
        # a fixed type, so that a browser plays the file and never renders it as a page
        return Result(path, media_type="video/mp4", headers={"Content-Disposition": "inline"})

    return router
