"""/v1/model: what serves, and how another model takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from serve.api import problems, schemas
from serve.api.context import Context
from serve.api.images import ERRORS
from serve.deployment.rollout import Bounds
from serve.errors import Refused
from serve.exports import models
from trainers.detection import export as exports
from trainers.errors import UserError

CONFLICT: dict[int | str, dict[str, Any]] = {
    **{status: ERRORS[status] for status in (400, 401, 403, 422)},
    409: {"model": problems.Problem, "description": "another model is on its way, or none is"},
}


def routes(context: Context, guard: Callable[[str], Any]) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1", tags=["model"])

    @router.get(
        "/model",
        summary="What serves, what is tried, and where it comes from",
        response_model=schemas.ModelAnswer,
        dependencies=[guard("read")],
        responses={status: ERRORS[status] for status in (401, 403)},
    )
    async def about() -> Any:
        state = context.rollout.state()
        manifest: dict[str, Any] = {}
        if state.champion is not None:
            try:
                folder = context.settings.models_folder / state.champion
                manifest = dict((await asyncio.to_thread(exports.read, folder)).manifest)
            except UserError:  # readyz says what is wrong with it
                manifest = {}
        try:
            replica = await context.detecting.about()
        except Exception as error:  # noqa: BLE001 - the model is described without its replica then
            replica = {"problem": f"no replica answers ({type(error).__name__})"}
        return {
            "model": state.champion,
            "classes": manifest.get("classes", []),
            "threshold": manifest.get("threshold"),
            "manifest": manifest,
            "rollout": asdict(state),
            "replica": replica,
        }

    @router.post(
        "/model:promote",
        summary="Let another model take over, at once or after a trial with a share of the work",
        status_code=202,
        dependencies=[guard("admin")],
        responses=CONFLICT,
    )
    async def promote(promotion: schemas.Promotion) -> dict[str, Any]:
        roots = [root.resolve() for root in context.settings.model_roots]
        folder = Path(promotion.model).resolve() if "\0" not in promotion.model else None
        if folder is None or not any(folder.is_relative_to(root) for root in roots):
            raise Refused(422, "no such model in the folders that this server allows (--model-root)")
        export = await asyncio.to_thread(models.keep, context.settings, folder)
        bounds = Bounds(promotion.images, promotion.errors, promotion.rate)
        return asdict(context.rollout.propose(export.export_id, promotion.canary, bounds))

    @router.post(
        "/model:rollback",
        summary="Take the work from the model that is being tried",
        dependencies=[guard("admin")],
        responses=CONFLICT,
    )
    def rollback() -> dict[str, Any]:
        return asdict(context.rollout.roll_back("asked for"))

    return router
