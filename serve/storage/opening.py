"""Opens what a deployment keeps: its database, the files of its jobs and models, and its secrets."""

from __future__ import annotations

import functools

from serve.deployment.database import FILE, MARK, Database
from serve.deployment.settings import Settings
from serve.storage.job_files import JobFiles
from serve.storage.marks import FolderMark, Mark, StoreMark
from serve.storage.secrets import Secret, SecretFile, SecretRow
from serve.storage.stored_job_files import StoredJobFiles
from tuning.stores.store import Store


def open_database(settings: Settings, create: bool = False) -> Database:
    """The SQLite file of the data folder, or PostgreSQL; see Database. Raises UserError."""
    if settings.database:
        from serve.storage.postgresql import PostgresDatabase  # imports SQLAlchemy

        return PostgresDatabase(settings.database, _mark(settings), create, settings.deployment)
    return Database(settings.data, create, settings.deployment)


def open_files(settings: Settings) -> JobFiles:
    """The files of the jobs: in the data folder, or in the store. Raises UserError."""
    if settings.files:
        return StoredJobFiles(settings.jobs_folder, open_files_store(settings.files))
    return JobFiles(settings.jobs_folder)


@functools.lru_cache(maxsize=8)
def open_files_store(uri: str) -> Store:
    """The store of `Settings.files`. Raises UserError."""
    from tuning.stores.opening import open_store  # imports boto3, which takes a second

    return open_store(uri)


def open_secret(settings: Settings, name: str, database: Database | None = None) -> Secret:
    """The secret `name`: in a file of the data folder, or in the database of machines that share none.

    database: if it is open already. Raises UserError.
    """
    if settings.files:
        return SecretRow(database or open_database(settings), name)
    return SecretFile(settings.data / name)


def is_prepared(settings: Settings) -> bool:
    """Whether the data folder, or the store, is that of a deployment. Raises UserError."""
    if settings.database:
        return _mark(settings).read() is not None
    return (settings.data / FILE).is_file()


def _mark(settings: Settings) -> Mark:
    if settings.files:
        return StoreMark(open_files_store(settings.files), MARK)
    return FolderMark(settings.data / MARK)
