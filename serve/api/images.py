"""POST /v1/images:detect and :segment: what the model finds in images, in the response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError

from serve.api import problems, schemas
from serve.api.context import Context
from serve.api.uploads import incoming_folder, read_form
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
        images = await _images(request)
        return await context.replicas.find(images, model, wanted, verb)

    async def _images(request: Request) -> list[bytes]:
        if request.headers.get("content-type", "").startswith("image/"):
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.image_bytes:
                    raise Refused(413, f"the body is larger than the limit of {limits.image_bytes} bytes")
            if not body:
                raise Refused(422, "the body is empty; send an image")
            return [bytes(body)]
        async with incoming_folder(context.settings.data) as folder:
            form = await read_form(
                request,
                folder,
                limits.image_bytes,
                limits.images,
                lambda size: check_disk_space(size, context.settings),
            )
            if not form.files:
                raise Refused(422, "the field 'file' with an image is missing")
            return await asyncio.to_thread(lambda: [path.read_bytes() for _, path, _ in form.files])

    return router
