"""POST /v1/images:detect: images in, detections out, at once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError

from serve.api import problems, schemas
from serve.api.context import Context
from serve.api.uploads import read_form
from serve.errors import Refused
from serve.jobs.options import Options
from serve.jobs.sources import check_room

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
        (400, "a body that ends too early"), (401, "no token, or an unknown one"), (403, "a token of another scope"),
        (413, "too large"), (415, "another type of body"), (422, "not an image"), (503, "no model is loaded"),
    )
}  # fmt: skip


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1", tags=["images"])
    limits = context.settings.limits

    @router.post(
        "/images:detect",
        summary="Detections in one or many images, at once",
        response_model=schemas.DetectAnswer,
        dependencies=[guard("submit")],
        openapi_extra={"requestBody": BODY},
        responses=ERRORS,
    )
    async def detect(
        request: Request,
        threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
        classes: Annotated[list[str] | None, Query()] = None,
    ) -> Any:
        try:
            options = Options(threshold=threshold, classes=tuple(classes) if classes else None)
        except ValidationError as error:
            raise Refused(422, problems.first_of(error)) from None
        model = context.rollout.pick()
        images = await _images(request)
        return await context.detecting.detect(images, model, options)

    async def _images(request: Request) -> list[bytes]:
        if request.headers.get("content-type", "").startswith("image/"):
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.image_bytes:
                    raise Refused(413, f"images of more than {limits.image_bytes} bytes are not taken")
            if not body:
                raise Refused(422, "the body is empty; send an image")
            return [bytes(body)]
        incoming = context.settings.data / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=incoming))
        try:
            form = await read_form(
                request,
                folder,
                limits.image_bytes,
                limits.images,
                lambda size: check_room(size, context.settings),
            )
            if not form.files:
                raise Refused(422, "there is no field 'file' with an image")
            return [path.read_bytes() for _, path, _ in form.files]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return router
