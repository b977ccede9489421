"""Refused: a request or an input that serve rejects. One line in a terminal, application/problem+json over HTTP."""

from __future__ import annotations

from trainers.errors import UserError


class Refused(UserError):
    """A UserError with an HTTP status.

    status: 4xx, 503 or 507. detail: the message, one line. retry_after: seconds until a retry may succeed, or None.
    """

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str, int | None]]:
        """Keeps all three fields when Ray pickles the error."""
        return type(self), (self.status, self.detail, self.retry_after)


class DatabaseFailed(Exception):
    """The database of jobs does not answer, or refuses a statement: why, in a line."""
