"""Tokens: who may read, submit and administer. Only their digests are kept; tickets let a browser play a result."""

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
    """The deployment's tokens, in `<data>/tokens.json`."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE

    def exist(self) -> bool:
        """Whether any token was ever given."""
        return self._path.exists()

    def add(self, scopes: Sequence[Scope] = ALL, token: str | None = None) -> str:
        """Let `token` (a new one unless given) do what `scopes` say, and return it; it cannot be asked for again."""
        token = token or secrets.token_urlsafe(24)
        kept = self._read()
        kept["tokens"][_digest(token)] = list(scopes)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._path, json.dumps(kept, indent=1))
        self._path.chmod(0o600)
        return token

    def scopes(self, token: str) -> Sequence[str] | None:
        """What a token may do; None for one that is not known. Takes the same time for every wrong one."""
        digest, found = _digest(token), None
        for known, scopes in self._read()["tokens"].items():
            if hmac.compare_digest(known, digest):
                found = scopes
        return found

    def ticket(self, path: str) -> str:
        """Lets whoever has it read `path` and what is below it for some hours, without a token: for <video src=...>."""
        expires = int(time.time()) + TICKET_SECONDS
        return f"{expires}-{self._signature(path, expires)}"

    def admits(self, ticket: str, path: str) -> bool:
        """Whether `ticket` is for `path` and still good."""
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
    # tokens are random, not words that people choose: a plain digest cannot be guessed back
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
