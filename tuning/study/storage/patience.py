"""A database that is away for minutes: each call of Optuna's storage is tried again until it answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError, OperationalError

from trainers.errors import UserError
from tuning.study.storage.postgresql import in_words

AWAY_SECONDS = 1800.0
FIRST_RETRY, LAST_RETRY = 0.5, 10.0


class Patient:
    """Passes every call to `backend`, again while the database does not answer, for AWAY_SECONDS at most.

    back: is called when the database may answer again, before the call is repeated. All of Optuna's writes may be made
    twice with the same effect, but for the creation and the end of a trial, which are not made again if they were made.
    """

    def __init__(self, backend: RDBStorage, where: str, back: Callable[[], None]) -> None:
        self._backend = backend
        self._where = where
        self._back = back

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name.startswith("__") or not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if name == "_create_new_trial":  # what Optuna's cache calls
                return self._create(*arguments, **named)
            if name == "set_trial_state_values":
                return self._end(*arguments, **named)
            return self._again(lambda: found(*arguments, **named))

        return call

    def _create(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        before = self._again(lambda: self._backend.get_n_trials(study_id))

        def create() -> FrozenTrial:
            if self._backend.get_n_trials(study_id) > before:  # it was made, and the answer was lost
                made = self._backend.get_trial_id_from_study_id_trial_number(study_id, before)
                return self._backend.get_trial(made)
            return self._backend._create_new_trial(study_id, template_trial)

        found: FrozenTrial = self._again(create)
        return found

    def _end(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        attempts = 0

        def end() -> bool:
            nonlocal attempts
            attempts += 1
            try:
                return self._backend.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                if attempts == 1 or self._backend.get_trial(trial_id).state != state:
                    raise
                return True  # it was made, and the answer was lost

        found: bool = self._again(end)
        return found

    def _again(self, call: Callable[[], Any]) -> Any:
        began, wait, failed = time.monotonic(), FIRST_RETRY, False
        while True:
            try:
                if failed:
                    self._back()
                return call()
            except (StorageInternalError, DBAPIError) as error:
                cause = error if isinstance(error, DBAPIError) else error.__cause__
                if not isinstance(cause, DBAPIError) or not _is_away(cause):
                    raise
                line = in_words(cause)
                if time.monotonic() - began > AWAY_SECONDS:
                    raise UserError(f"{self._where}: {line}; run the same command again later") from None
                if not failed:
                    print(
                        f"{self._where}: {line}; training goes on, and this waits",
                        file=sys.stderr,
                        flush=True,
                    )
                failed = True
                time.sleep(wait)
                wait = min(2 * wait, LAST_RETRY)


def _is_away(error: DBAPIError) -> bool:
    """Whether the connection broke, or cannot be made; PostgreSQL's class 57P is that of its own end and start."""
    fields = error.orig.args[0] if error.orig is not None and error.orig.args else {}
    code = str(fields.get("C", "")) if isinstance(fields, dict) else ""
    return (
        error.connection_invalidated
        or code.startswith(("57P", "08"))
        or (not code and isinstance(error, OperationalError | DBAPIError))
    )
