"""/v1/jobs/{id}/...: what a job has made, and its progress as it makes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, StreamingResponse

from serve.api.context import Context
from serve.api.jobs import READ_ERRORS
from serve.errors import Refused
from serve.jobs.store import INPUT, RESULT

EVENT_SECONDS = 0.5
TYPES = {".webm": "video/webm", ".mp4": "video/mp4", ".gif": "image/gif", ".webp": "image/webp",
         ".jsonl": "application/jsonl", ".json": "application/json"}  # fmt: skip


class Result(FileResponse):
    """A file in pieces of a megabyte: each goes through Ray's proxy as a message of its own."""

    chunk_size = 1 << 20


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1", tags=["results"])
    store = context.store
    read: dict[str, Any] = {"dependencies": [guard("read")], "responses": READ_ERRORS}

    @router.get(
        "/jobs/{job_id}/events",
        summary="Where a job stands, as server-sent events until it ends",
        response_class=StreamingResponse,
        **{**read, "responses": {**READ_ERRORS, 200: {"content": {"text/event-stream": {}}}}},
    )
    async def events(job_id: str) -> Response:
        await asyncio.to_thread(store.get, job_id)

        async def stream() -> AsyncIterator[str]:
            last = ""
            while True:
                try:
                    job = await asyncio.to_thread(store.get, job_id)
                except Refused:  # removed meanwhile
                    return
                text = json.dumps(job.to_dict())
                if text != last:
                    yield f"event: {job.state}\ndata: {text}\n\n"
                    last = text
                if not job.active:
                    return
                await asyncio.sleep(EVENT_SECONDS)

        return StreamingResponse(stream(), media_type="text/event-stream")

    def result(job_id: str, what: str) -> Result:
        job = store.get(job_id)
        if job.state != "done":
            raise Refused(
                409,
                f"the job is {job.state}" + (f": {job.error}" if job.error else "; its results come later"),
            )
        folder = store.folder(job_id) / RESULT
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        name = "manifest.json" if what == "manifest" else manifest["files"].get(what)
        if name is None:
            raise Refused(404, f"the job was not asked for a {what}")
        path = folder / name
        return Result(path, media_type=TYPES[path.suffix], headers={"Cache-Control": "private, max-age=3600"})

    def result_route(what: str, summary: str, *media: str) -> None:
        found: dict[int | str, dict[str, Any]] = {
            200: {"description": summary, "content": {each: {} for each in media}}
        }

        @router.get(
            f"/jobs/{{job_id}}/{what}", name=what, summary=summary, response_class=FileResponse,
            dependencies=[guard("read")], responses={**READ_ERRORS, **found},
        )  # fmt: skip
        def fetch(job_id: str) -> Response:
            return result(job_id, what)

    result_route("video", "The annotated video; ranges are served", "video/webm", "video/mp4")
    result_route("detections", "JSON Lines, one frame a line", "application/jsonl")
    result_route("coco", "COCO results; image_id is the frame's number", "application/json")
    result_route("preview", "The short animation", "image/gif", "image/webp")
    result_route("manifest", "What was done, with which model", "application/json")

    @router.get(
        "/jobs/{job_id}/source", summary="The video as it was sent", response_class=FileResponse, **read
    )
    def source(job_id: str) -> Response:
        store.get(job_id)
        path = store.folder(job_id) / INPUT
        if not path.exists():
            raise Refused(404, "the video is not here")
        # whatever it claims to be, a browser is to play it or leave it
        return Result(path, media_type="video/mp4", headers={"Content-Disposition": "inline"})

    return router
