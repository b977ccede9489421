"""Prepares a deployment's data folder before it serves: its model, the measured backend, and its tokens."""

from __future__ import annotations

from pathlib import Path

from serve.backends import choosing
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.exports.model_folder import add_model, read_model
from serve.metrics.counters import Counters
from serve.storage.opening import is_prepared, open_database, open_secret
from serve.storage.tokens import NAME, Tokens
from serve.tasks.task import ServedExport
from trainers.errors import UserError


def prepare_model(settings: Settings, export: Path | None) -> ServedExport:
    """The model that will serve: the export in this folder, or the one that served before.

    Raises UserError when there is none.
    """
    if export is None and not is_prepared(settings):  # an empty folder, or one that is not mounted
        raise UserError(f"{settings.place}: contains no model yet; give --study NAME or --model FOLDER")
    database = open_database(settings, create=True)
    rollout = Rollout(database, Counters(database))
    if export is not None:
        rollout.begin(add_model(settings, export).export_id)
    champion = rollout.state().champion
    if champion is None:
        raise UserError(f"{settings.place}: contains no model yet; give --study NAME or --model FOLDER")
    return read_model(settings, champion)


def is_measured(settings: Settings, export: ServedExport) -> bool:
    """Whether this machine has measured the backends for the export."""
    return choosing.kept_choice(export, settings.threads, settings.max_map_drop) is not None


def backend_table(settings: Settings, export: ServedExport) -> list[str]:
    """The measurements of the backends as lines of text; they are measured first if this machine has not done so."""
    return choosing.choice_for(export, settings.threads, settings.max_map_drop).table()


def prepare_tokens(settings: Settings, full: str | None, read_only: str | None, new: bool) -> str | None:
    """Store the given tokens. Returns a newly generated one if `new`, or if there is no token yet; otherwise None.

    full: a token for everything. read_only: a token for reading. Both replace the one that was given before.
    Raises UserError when one is weak.
    """
    tokens = Tokens(open_secret(settings, NAME))
    if read_only:
        tokens.add(("read",), read_only, name="read-only", replace=True)
    if full:
        tokens.add(token=full, name="given", replace=True)
    if new or not tokens.exist():
        return tokens.add()
    return None
