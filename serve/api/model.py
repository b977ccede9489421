"""/v1/model: the served model, and the rollout of another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from serve import tasks
from serve.api import problems, schemas
from serve.api.context import Context
from serve.api.images import ERRORS
from serve.api.jobs import json_body
from serve.errors import Refused
from serve.exports.model_folder import add_model, read_model, task_of
from trainers.errors import UserError

BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Promotion"}}},
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    **{status: ERRORS[status] for status in (400, 401, 403, 422, 429)},
    409: {
        "model": problems.Problem,
        "description": "A rollout is in progress already; for a rollback: none is, and no model served before",
    },
}


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1", tags=["model"])

    @router.get(
        "/model",
        name="get_model",
        summary="Show the served model and its rollout",
        response_model=schemas.ModelAnswer,
        dependencies=[guard("read")],
        responses={status: ERRORS[status] for status in (401, 403, 429)},
    )
    async def about(request: Request) -> Any:
        state = await asyncio.to_thread(context.rollout.state)
        manifest: dict[str, Any] = {}
        if state.champion is not None:
            try:
                export = await asyncio.to_thread(read_model, context.settings, state.champion)
                manifest = dict(export.manifest)
            except UserError:  # /readyz reports what is wrong with it
                manifest = {}
        try:
            replica = await context.replicas.about()
        except Exception as error:  # noqa: BLE001 - the response says so
            replica = {"problem": f"no replica answers ({type(error).__name__})"}
        return {
            "model": state.champion,
            "task": tasks.named(manifest.get("task")),
            "classes": manifest.get("classes", []),
            "threshold": manifest.get("threshold"),
            "manifest": manifest,
            "rollout": asdict(state),
            "replica": replica,
            "scopes": request.state.scopes,
        }

    @router.post(
        "/model:promote",
        name="promote_model",
        summary="Replace the model, immediately or after a canary phase",
        status_code=202,
        dependencies=[guard("admin")],
        responses=CONFLICT | {413: ERRORS[413]},
        openapi_extra={"requestBody": BODY},
    )
    async def promote(request: Request) -> dict[str, Any]:
        return await asyncio.to_thread(promoted, await json_body(request, schemas.Promotion))

    def promoted(promotion: schemas.Promotion) -> dict[str, Any]:
        roots = [root.resolve() for root in context.settings.model_roots]
        folder = Path(promotion.model).resolve() if "\0" not in promotion.model else None
        if folder is None or not any(folder.is_relative_to(root) for root in roots):
            raise Refused(422, "no such model in the folders that this server allows (--model-root)")
        export = add_model(context.settings, folder)
        champion, task = context.rollout.state().champion, tasks.of(export)
        if champion is not None and (served := task_of(context.settings, champion)) is not task:
            raise Refused(422, f"it is a model for {task.title}, but this server is for {served.title}")
        return asdict(context.rollout.propose(export.export_id, promotion.canary, promotion.bounds()))

    @router.post(
        "/model:rollback",
        name="roll_back_model",
        summary="Cancel the rollout in progress, or return to the model before",
        dependencies=[guard("admin")],
        responses=CONFLICT,
    )
    def rollback() -> dict[str, Any]:
        return asdict(context.rollout.roll_back("requested"))

    return router
