"""/v1/batches: submit many videos at once, show their progress, fetch their manifest, cancel or remove them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from serve.api import problems, schemas
from serve.api.context import Context
from serve.api.jobs import LIST_ERRORS, SUBMIT_ERRORS, check_destinations, json_body
from serve.deployment.settings import Settings
from serve.exports.model_folder import check_options
from serve.jobs.batches import Batches
from serve.jobs.submission import Submission
from serve.storage import sources
from serve.webhooks.outbox import Outbox

BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/BatchRequest"}}},
}
BATCH_ERRORS: dict[int | str, dict[str, Any]] = {
    **{status: SUBMIT_ERRORS[status] for status in (400, 401, 403, 409, 413, 422, 429, 503, 507)},
    200: {"model": schemas.BatchModel, "description": "The existing batch of this Idempotency-Key"},
}
MISSING: dict[int | str, dict[str, Any]] = {
    **LIST_ERRORS,
    404: {"model": problems.Problem, "description": "No such batch"},
}
OTHERS = re.compile(r"[^A-Za-z0-9._-]+")  # characters that a folder's name shall not have


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1", tags=["batches"])
    settings, batches, outbox = context.settings, Batches(context.store), Outbox(context.store.database)
    read: dict[str, Any] = {"dependencies": [guard("read")], "responses": MISSING}

    @router.post(
        "/batches",
        name="submit_batch",
        summary="Submit many videos by URI",
        status_code=202,
        response_model=schemas.BatchModel,
        dependencies=[guard("submit")],
        responses=BATCH_ERRORS,
        openapi_extra={"requestBody": BODY},
    )
    async def submit(
        request: Request, idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None
    ) -> Response:
        wanted = await json_body(request, schemas.BatchRequest)
        await asyncio.to_thread(context.store.check_room, 0, settings.limits.result_bytes)
        await context.checks.run(_check, wanted, settings)
        output = wanted.output_uri and wanted.output_uri.rstrip("/")

        def add() -> tuple[dict[str, Any], bool]:
            sent = [
                (
                    Submission(
                        sources.name_of(uri), uri, wanted.options,
                        output=f"{output}/{number:05}-{_folder_name(uri)}" if output else None,
                    ),
                    context.rollout.pick(),
                )
                for number, uri in enumerate(wanted.uris)
            ]  # fmt: skip
            for model in {model for _, model in sent}:
                check_options(settings, model, wanted.options)
            batch, new = batches.add(
                sent,
                output,
                wanted.webhook,
                settings.limits.queued,
                idempotency_key,
                wanted.model_dump_json(),
            )
            context.rollout.give_back({model for _, model in sent})
            return batches.shown(batch), new

        shown, new = await asyncio.to_thread(add)
        headers = {"Location": f"/v1/batches/{shown['id']}"}
        return JSONResponse(shown, 202 if new else 200, headers=headers)

    @router.get(
        "/batches",
        name="list_batches",
        summary="List batches, newest first",
        response_model=schemas.BatchList,
        dependencies=[guard("read")],
        responses=LIST_ERRORS,
    )
    def listed(
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=100, description="`next` of the page before")] = None,
    ) -> Any:
        found = batches.list_batches(limit + 1, cursor)
        following = found[limit - 1].cursor if len(found) > limit else None
        return {"batches": [batches.shown(each) for each in found[:limit]], "next": following}

    @router.get(
        "/batches/{batch_id}",
        name="get_batch",
        summary="Show a batch and its progress",
        response_model=schemas.BatchModel,
        **read,
    )
    def get(batch_id: str) -> Any:
        return batches.shown(batches.get(batch_id))

    @router.get(
        "/batches/{batch_id}/manifest",
        name="get_batch_manifest",
        summary="Show what became of each video, and where its results are",
        response_model=schemas.BatchManifest,
        dependencies=[guard("read")],
        responses=MISSING | {409: {"model": problems.Problem, "description": "The batch is not done"}},
    )
    def manifest(batch_id: str) -> Any:
        return batches.manifest(batch_id)

    @router.get(
        "/batches/{batch_id}/deliveries",
        name="list_batch_deliveries",
        summary="Show the messages to the batch's webhook",
        response_model=schemas.Deliveries,
        **read,
    )
    def deliveries(batch_id: str) -> Any:
        batches.get(batch_id)
        return {"deliveries": [each.to_dict() for each in outbox.of(batch_id)]}

    @router.delete(
        "/batches/{batch_id}",
        name="delete_batch",
        summary="Cancel the active jobs of a batch, or remove one that has ended with all its results",
        status_code=204,
        dependencies=[guard("submit")],
        responses=MISSING
        | {202: {"model": schemas.BatchModel, "description": "It had active jobs, which are now cancelled"}},
    )
    def delete(batch_id: str) -> Response:
        before = {job.id for job in batches.jobs(batch_id) if job.active}
        cancelled = batches.cancel(batch_id)
        for job in batches.jobs(batch_id):
            if job.id in before and job.state == "cancelled":
                context.counters.add("jobs_ended", state="cancelled")
        return Response(status_code=204) if cancelled is None else JSONResponse(batches.shown(cancelled), 202)

    return router


def _check(wanted: schemas.BatchRequest, settings: Settings) -> None:
    """Whether all videos are in allowed places; objects on S3 are looked up when their turn comes."""
    for uri in wanted.uris:
        sources.check_place(uri, settings)
    sources.check_disk_space(0, settings)
    check_destinations(wanted.output_uri, wanted.webhook, settings)


def _folder_name(uri: str) -> str:
    name = sources.name_of(uri)
    return OTHERS.sub("_", name.rpartition(".")[0] or name)[:80]
