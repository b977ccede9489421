"""Tokens with scopes, stored as digests; and tickets, which give a browser read access to one job."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trainers.files import write_text

Scope = Literal["read", "submit", "admin"]
ALL: tuple[Scope, ...] = ("read", "submit", "admin")
FILE = "tokens.json"
TICKET_SECONDS = 12 * 3600


class Tokens:
    """The tokens of a deployment, in `<data>/tokens.json`."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE

    def exist(self) -> bool:
        """Whether any token was created yet."""
        return self._path.exists()

    def add(self, scopes: Sequence[Scope] = ALL, token: str | None = None) -> str:
        """Store `token`, or a new random one, with these scopes, and return it. It cannot be read back later."""
        token = token or secrets.token_urlsafe(24)
        kept = self._read()
        kept["tokens"][_digest(token)] = list(scopes)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._path, json.dumps(kept, indent=1))
        self._path.chmod(0o600)
        return token

    def scopes(self, token: str) -> Sequence[str] | None:
        """The token's scopes; None if it is unknown. Compares in constant time."""
        digest, found = _digest(token), None
        for known, scopes in self._read()["tokens"].items():
            if hmac.compare_digest(known, digest):
                found = scopes
        return found

    def ticket(self, path: str) -> str:
        """A signed string that gives read access to `path` without a token, for TICKET_SECONDS."""
        expires = int(time.time()) + TICKET_SECONDS
        return f"{expires}-{self._signature(path, expires)}"

    def valid_ticket(self, ticket: str, path: str) -> bool:
        """Whether `ticket` was issued for `path` and has not expired."""
        expires, _, signature = ticket.partition("-")
        if not (expires.isascii() and expires.isdigit()) or len(expires) > 12 or int(expires) < time.time():
            return False
        return hmac.compare_digest(signature.encode(), self._signature(path, int(expires)).encode())

    def _signature(self, path: str, expires: int) -> str:
        message = f"{expires} {path}".encode()
        return hmac.new(self._read()["secret"].encode(), message, "sha256").hexdigest()[:40]

    def _read(self) -> dict:  # type: ignore[type-arg]
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {"secret": secrets.token_hex(32), "tokens": {}}


def _digest(token: str) -> str:
    # tokens are random, so an unsalted digest is enough
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
