"""Refused: what a client gave cannot be served. One line for a terminal, problem+json over HTTP."""

from __future__ import annotations

from trainers.errors import UserError


class Refused(UserError):
    """A UserError with the HTTP status that says the same.

    status: 4xx or 503. retry_after: seconds after which it may work, or None.
    """

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str, int | None]]:
        """It crosses from one process to another."""
        return type(self), (self.status, self.detail, self.retry_after)
