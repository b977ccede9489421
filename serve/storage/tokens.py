"""Tokens with scopes, stored as salted digests; and tickets, which give a browser read access to one job."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from serve.errors import Refused
from serve.storage.secrets import Secret
from trainers.errors import UserError

Scope = Literal["read", "submit", "admin"]
ALL: tuple[Scope, ...] = get_args(Scope)
NAME = "tokens.json"  # of the secret that holds them
TICKET_SECONDS = 12 * 3600
LEAST_LENGTH, LEAST_SIGNS = 12, 6  # of a token that a person chooses
READ_SECONDS = 10.0  # that a request waits for a disk that does not answer


@dataclass(frozen=True)
class Token:
    """A stored token. created, expires: seconds since 1970; expires is None for never."""

    name: str
    salt: str
    digest: str
    scopes: tuple[str, ...]
    created: float
    expires: float | None

    @property
    def expired(self) -> bool:
        """Whether it is void by now."""
        return self.expires is not None and self.expires <= time.time()


@dataclass(frozen=True)
class Known:
    """The tokens as the file had them. secret: of the tickets."""

    secret: str
    tokens: tuple[Token, ...]

    def find(self, token: str) -> Token | None:
        """The stored token; None if it is unknown or expired. Compares in constant time."""
        found = None
        for known in self.tokens:
            if hmac.compare_digest(known.digest, _digest(token, known.salt)) and not known.expired:
                found = known
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
        return hmac.new(self.secret.encode(), message, "sha256").hexdigest()[:40]


class Tokens:
    """The tokens of a deployment, in a secret of it (serve.storage.opening.open_secret)."""

    def __init__(self, kept: Secret) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "tokens")
        self._next: Future[Known] | None = None  # a read that has not begun yet
        self._last: tuple[str | None, Known] | None = None  # what this text means

    async def current(self) -> Known:
        """The tokens as they are now; one that was revoked before the call is not among them.

        They are read in a thread of its own, once for all requests that wait for it: a disk that does not answer
        keeps up nobody else. Raises Refused (503) after READ_SECONDS without an answer.
        """
        with self._lock:
            if self._next is None:
                self._next = self._thread.submit(self._read_next)
            reading = self._next
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(reading)), READ_SECONDS)
        except TimeoutError:
            raise Refused(503, "the server's tokens cannot be read now", retry_after=10) from None

    def now(self) -> Known:
        """The tokens as they are now. Waits for the disk, so it is not for an event loop."""
        text = self._kept.read()
        last = self._last
        if last is None or last[0] != text:
            self._last = last = text, _known(text)
        return last[1]

    def exist(self) -> bool:
        """Whether any token was created yet."""
        return self._kept.read() is not None

    def all(self) -> list[Token]:
        """All tokens, oldest first."""
        return list(self.now().tokens)

    def add(
        self,
        scopes: Sequence[str] = ALL,
        token: str | None = None,
        name: str | None = None,
        seconds: float | None = None,
        replace: bool = False,
    ) -> str:
        """Store `token`, or a new random one, with these scopes, and return it. It cannot be read back later.

        name: for `revoke`; default: "token-N". seconds: until it expires; None for never. replace: void the token that
        has the name. Raises UserError for a weak token, an unknown scope, or a name that is taken.
        """
        unknown = set(scopes) - set(ALL)
        if unknown or not scopes:
            raise UserError(f"unknown scope {min(unknown, default='')!r}; choose from {', '.join(ALL)}")
        if token is not None and (len(token) < LEAST_LENGTH or len(set(token)) < LEAST_SIGNS):
            raise UserError(
                f"the token is weak; it needs at least {LEAST_LENGTH} characters, {LEAST_SIGNS} of them different"
            )
        if token is not None and not (token.isascii() and token.isprintable() and token == token.strip()):
            raise UserError(
                "no header can carry the token: it has a line break, a letter beyond ASCII, or a space at its end"
            )
        token = token or secrets.token_urlsafe(24)

        def added(text: str | None) -> str:
            kept = _fields(text)
            names = {each["name"] for each in kept["tokens"]}
            free = name or next(f"token-{i}" for i in range(1, len(names) + 2) if f"token-{i}" not in names)
            if free in names and not replace:
                raise UserError(f"there is a token called {free!r}; revoke it first, or give another --name")
            salt = secrets.token_hex(16)
            expires = None if seconds is None else time.time() + seconds
            new = Token(free, salt, _digest(token, salt), tuple(scopes), time.time(), expires)
            kept["tokens"] = [each for each in kept["tokens"] if each["name"] != free] + [asdict(new)]
            return json.dumps(kept, indent=1)

        self._kept.change(added)
        return token

    def revoke(self, name: str) -> None:
        """Void the token called `name`, for all running processes at once. Raises UserError when there is none."""

        def without(text: str | None) -> str:
            kept = _fields(text)
            left = [each for each in kept["tokens"] if each["name"] != name]
            if len(left) == len(kept["tokens"]):
                known = ", ".join(each["name"] for each in left) or "none"
                raise UserError(f"there is no token called {name!r}; there are: {known}")
            return json.dumps(kept | {"tokens": left}, indent=1)

        self._kept.change(without)

    def scopes(self, token: str) -> Sequence[str] | None:
        """The token's scopes; None if it is unknown or expired."""
        found = self.now().find(token)
        return None if found is None else list(found.scopes)

    def _read_next(self) -> Known:
        with self._lock:
            self._next = None  # whoever asks from here on wants another read
        return self.now()


def _known(text: str | None) -> Known:
    kept = _fields(text)
    tokens = (Token(**(each | {"scopes": tuple(each["scopes"])})) for each in kept["tokens"])
    return Known(kept["secret"], tuple(tokens))


def _fields(text: str | None) -> dict[str, Any]:
    """What the text of the secret says, or a new one."""
    if text is None:
        return {"secret": secrets.token_hex(32), "tokens": []}
    kept = dict(json.loads(text))
    if isinstance(kept["tokens"], dict):  # of the first version: digests without salt -> scopes
        kept["tokens"] = [
            asdict(Token(f"token-{number}", "", digest, tuple(scopes), 0.0, None))
            for number, (digest, scopes) in enumerate(kept["tokens"].items(), 1)
        ]
    return kept


def _digest(token: str, salt: str) -> str:
    return hashlib.sha256(salt.encode() + token.encode("utf-8", "surrogateescape")).hexdigest()
