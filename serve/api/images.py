"""POST /v1/images:detect and :segment: what the model finds in images, in the response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError

from serve.api import problems, schemas
from serve.api.context import Context
from serve.api.uploads import incoming_folder, is_small, read_body, read_form
from serve.deployment.budget import Budget
from serve.errors import Refused
from serve.jobs.options import Options
from serve.storage.sources import check_disk_space

BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
        "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
        "image/png": {"schema": {"type": "string", "format": "binary"}},
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": problems.Problem, "description": what}
    for status, what in (
        (400, "The body is incomplete or malformed"), (401, "Missing or unknown token"),
        (403, "The token does not allow this"), (413, "Too large"), (415, "Unsupported type of body"),
        (422, "Invalid request, image or video"), (429, "Too many requests; see Retry-After"),
        (503, "No model is available"),
    )
}  # fmt: skip
ANSWERS: dict[int | str, dict[str, Any]] = {
    **ERRORS, 409: {"model": problems.Problem, "description": "The model is of another task"}
}  # fmt: skip


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1", tags=["images"])
    limits = context.settings.limits
    memory = Budget(2 * limits.image_bytes, "bytes")

    @router.post(
        "/images:detect",
        name="detect_images",
        summary="Detect objects in images",
        response_model=schemas.DetectAnswer,
        dependencies=[guard("submit")],
        openapi_extra={"requestBody": BODY},
        responses=ANSWERS,
    )
    async def detect(
        request: Request,
        threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
        classes: Annotated[list[str] | None, Query()] = None,
    ) -> Any:
        return await found(request, "detect", threshold=threshold, classes=classes)

    @router.post(
        "/images:segment",
        name="segment_images",
        summary="Segment images",
        response_model=schemas.SegmentAnswer,
        dependencies=[guard("submit")],
        openapi_extra={"requestBody": BODY},
        responses=ANSWERS,
    )
    async def segment(request: Request, classes: Annotated[list[str] | None, Query()] = None) -> Any:
        return await found(request, "segment", classes=classes)

    async def found(request: Request, verb: str, **options: Any) -> Any:
        try:
            wanted = Options(**options)
        except ValidationError as error:
            raise Refused(422, problems.first_error(error)) from None
        model = await asyncio.to_thread(context.rollout.pick)
        async with _images(request) as images:
            return await context.replicas.find(images, model, wanted, verb)

    @asynccontextmanager
    async def _images(request: Request) -> AsyncIterator[list[bytes]]:
        """The request's images. Large bodies wait on the disk until there is memory for them."""
        if is_small(request):
            yield await _received(request, None)
            return
        async with incoming_folder(context.settings.data) as folder:
            await _received(request, folder)
            files, size = await asyncio.to_thread(_written, folder)
            async with memory.taken(size):
                yield await asyncio.to_thread(lambda: [path.read_bytes() for path in files])

    async def _received(request: Request, folder: Path | None) -> list[bytes]:
        """The images, or none when they were written into `folder` instead, numbered."""
        if request.headers.get("content-type", "").startswith("image/"):
            body, size = await read_body(request, limits.image_bytes, folder and folder / "body-0")
            if not size:
                raise Refused(422, "the body is empty; send an image")
            return [body]
        form = await read_form(
            request,
            folder,
            limits.image_bytes,
            limits.images,
            lambda size: check_disk_space(size, context.settings),
        )
        if not form.files and not form.contents:
            raise Refused(422, "the field 'file' with an image is missing")
        return form.contents

    return router


def _written(folder: Path) -> tuple[list[Path], int]:
    """The files of a request in the order in which they came, and their bytes."""
    files = sorted(folder.iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))
    return files, sum(path.stat().st_size for path in files)
