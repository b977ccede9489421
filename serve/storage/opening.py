"""Opens the database of a deployment: the SQLite file of its data folder, or PostgreSQL."""

from __future__ import annotations

from serve.deployment.database import FILE, MARK, Database
from serve.deployment.settings import Settings


def open_database(settings: Settings, create: bool = False) -> Database:
    """See Database. Raises UserError."""
    if settings.database:
        from serve.storage.postgresql import PostgresDatabase  # imports SQLAlchemy

        return PostgresDatabase(settings.database, settings.data, create, settings.deployment)
    return Database(settings.data, create, settings.deployment)


def is_prepared(settings: Settings) -> bool:
    """Whether the data folder is that of a deployment."""
    return (settings.data / (MARK if settings.database else FILE)).is_file()
