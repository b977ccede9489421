"""Where Optuna keeps a study's trials: in the journal in the study's folder, or in PostgreSQL."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

from trainers.errors import UserError
from tuning.study.storage.database_lock import DatabaseLock
from tuning.study.storage.journal import StudyJournal
from tuning.study.storage.keys import JOURNAL
from tuning.study.storage.packing import pack
from tuning.study.storage.patience import Patient
from tuning.study.storage.postgresql import CONNECT_SECONDS, checked, engine, keep_alive

MANIFEST = "manifest"  # user attribute of the Optuna study in a database: the content of study.json

# Optuna's state for each verdict; an interrupted trial waits to be resumed
OPTUNA_STATES = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.WAITING,
}


class Trials(Protocol):
    """Optuna's storage of one study, for its driver."""

    @property
    def storage(self) -> BaseStorage:
        """Optuna's."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""

    def sync(self) -> None:
        """What was written survives a power cut from now on."""

    def pack(self, trials: Iterable[FrozenTrial]) -> None:
        """Keep these ended trials in little memory."""

    def close(self) -> None:
        """Sync and close."""


class JournalTrials:
    """In `optuna.journal` in the study's folder. Raises UserError when it is damaged."""

    def __init__(self, folder: Path, durable: bool) -> None:
        self._journal = StudyJournal(folder / JOURNAL, durable)
        self._storage = JournalStorage(self._journal)

    @property
    def storage(self) -> BaseStorage:
        """See Trials."""
        return self._storage

    @property
    def closed(self) -> bool:
        """See Trials."""
        return self._journal.closed

    def sync(self) -> None:
        """See Trials."""
        self._journal.sync()

    def pack(self, trials: Iterable[FrozenTrial]) -> None:
        """See Trials."""
        pack(self._storage, trials)

    def close(self) -> None:
        """See Trials."""
        self._journal.close()


class DatabaseTrials:
    """In PostgreSQL at `url`, with the lock on the study `name`. Raises UserError when it cannot be used."""

    def __init__(self, url: str, name: str) -> None:
        self._lock = DatabaseLock(engine(url), name, url)
        self._lock.acquire()
        try:
            backend = checked(lambda: open_database(url), url)
            self._lock.guard(backend.engine)
        except BaseException:
            self._lock.release()
            raise
        self._storage = _CachedStorage(Patient(backend, url, self._lock.hold))  # type: ignore[arg-type]
        self.closed = False

    @property
    def storage(self) -> BaseStorage:
        """See Trials."""
        return self._storage

    @property
    def token(self) -> int:
        """The number of this holder of the lock."""
        return self._lock.token

    def sync(self) -> None:
        """Nothing to do: each write is a transaction."""

    def pack(self, trials: Iterable[FrozenTrial]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """See Trials."""
        self.closed = True
        self._lock.release()


_opened = threading.Lock()  # Optuna's migration code is not made for several threads


@contextmanager
def _loggers_as_they_are() -> Iterator[None]:
    """Enable again the loggers that Optuna's migration code disables, where a program has set up no logging."""
    found = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    enabled = [each for each in found if not each.disabled]
    level, handlers = logging.root.level, list(logging.root.handlers)
    try:
        yield
    finally:
        for each in enabled:
            each.disabled = False
        logging.root.setLevel(level)
        logging.root.handlers[:] = handlers


def open_database(url: str) -> RDBStorage:
    """Optuna's storage at `url`; its tables are made if there are none."""
    made = engine(url)
    given: dict[str, Any] = {"timeout": CONNECT_SECONDS} if made.url.drivername.endswith("pg8000") else {}
    with _opened, _loggers_as_they_are():
        try:
            backend = RDBStorage(
                made.url.render_as_string(hide_password=False),
                {"pool_pre_ping": True, "pool_size": 5, "connect_args": given},
            )
        except RuntimeError as error:  # tables of another version of Optuna
            raise UserError(f"{url}: {' '.join(str(error).split())[:300]}") from None
        finally:
            made.dispose()
    event.listen(backend.engine, "connect", keep_alive)
    backend.engine.dispose()  # the connections that it has made without
    return backend


def open_trials(folder: Path, url: str, name: str, durable: bool) -> Trials:
    """Where the trials of the study `name` are kept: at `url`, or without one in the journal in `folder`."""
    return DatabaseTrials(url, name) if url else JournalTrials(folder, durable)
