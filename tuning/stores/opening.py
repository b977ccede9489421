"""Opens a store by its URI. Another kind is one module and one line here."""

from __future__ import annotations

from trainers.errors import UserError
from tuning.stores.store import Store


def open_store(uri: str) -> Store:
    """The store at `uri`. Raises UserError when its kind is unknown."""
    if uri.startswith("s3://"):
        from tuning.stores.s3 import S3Store  # imports boto3, which takes a second

        return S3Store(uri)
    raise UserError(f"{uri}: unknown kind of store; give s3://bucket/prefix")
