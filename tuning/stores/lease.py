"""Lease: who may write to a study in a store. It has a number that rises with each holder (a fencing token).

Nothing depends on clocks that agree: a lease whose object does not change for EXPIRES seconds, by the clock of the one
who looks, has lost its holder.

    lease.json   {"token": 3, "host": "head-1", "pid": 4711, "since": "2026-11-26 09:12:01", "beat": 17, "held": true,
                  "id": "9f2c81d0"}   of this holder alone: the numbers begin again when a study is deleted
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from tuning.stores.store import Conflict, Store

KEY = "lease.json"
RENEW_SECONDS = 10.0
EXPIRES = 35.0  # without a renewal
LOOK_SECONDS = 1.0


class Lease:
    """The lease of the study whose keys begin with `prefix`.

    After `acquire`: token: this holder's number. fields: its content. before: that of the holder before; {} for none.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._key = prefix + KEY
        self._fields: dict[str, Any] = {}
        self.before: Mapping[str, Any] = {}
        self._tag = ""

    @property
    def token(self) -> int:
        """The number of this holder; 0 before `acquire`."""
        return int(self._fields.get("token", 0))

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the lease says of this holder."""
        return self._fields

    def acquire(self, say: Callable[[str], None] = lambda line: None) -> int:
        """Take the lease; returns the token. Waits up to EXPIRES for the lease of a process that may be dead.

        say: is called with a line when it waits. Raises UserError, naming the holder, when that renews its lease.
        """
        found = self._found()
        if found is not None and found[0].get("held") and not _is_dead(found[0]):
            holder, tag = found
            say(f"{self._store.uri}: {_named(holder)} had this study; waiting whether it still does")
            until = time.monotonic() + EXPIRES
            while found is not None and found[1] == tag and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
                found = self._found()
            if found is not None and found[1] != tag and found[0].get("held"):
                raise UserError(f"{self._store.uri}: in use by {_named(found[0])}; wait, or stop it first")
        self.before, tag = found or ({}, "")
        self._fields = {
            "token": int(self.before.get("token", 0)) + 1,
            "id": secrets.token_hex(4),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "machine": _machine(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "beat": 0,
            "held": True,
        }
        try:
            self._tag = self._store.write(self._key, self._content(), tag)
        except Conflict:
            other = self._found()
            if other is not None and self._is_ours(other[0]):
                self._tag = other[1]
                return self.token
            raise UserError(
                f"{self._store.uri}: in use by {_named(other[0] if other else {})}; wait, or stop it first"
            ) from None
        return self.token

    def renew(self) -> None:
        """Show that the holder lives. Raises Conflict when another process has taken the lease."""
        self._fields["beat"] += 1
        self._write()

    def release(self) -> None:
        """Give it up. Raises Conflict when another process has taken it."""
        self._fields["held"] = False
        self._write()

    def _write(self) -> None:
        try:
            self._tag = self._store.write(self._key, self._content(), self._tag)
        except Conflict:
            found = self._found()  # a write whose answer was lost has been made nevertheless
            if found is None or not self._is_ours(found[0]):
                raise
            self._tag = found[1]
            if found[0] != self._fields:  # it was an earlier one
                self._tag = self._store.write(self._key, self._content(), self._tag)

    def _is_ours(self, fields: dict[str, Any]) -> bool:
        """Whether this holder has written these fields, now or earlier."""
        return {**fields, "beat": 0, "held": True} == {**self._fields, "beat": 0, "held": True}

    def _content(self) -> bytes:
        return json.dumps(self._fields).encode()

    def _found(self) -> tuple[dict[str, Any], str] | None:
        return read(self._store, self._key.removesuffix(KEY))


def read(store: Store, prefix: str) -> tuple[dict[str, Any], str] | None:
    """The lease's fields and tag; None if nobody ever had it."""
    found = store.read(prefix + KEY)
    if found is None:
        return None
    try:
        return dict(json.loads(found[0])), found[1]
    except ValueError:
        raise UserError(f"{store.uri}/{prefix}{KEY}: is damaged; delete it") from None


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    if holder.get("machine") != _machine():
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, KeyError, ValueError):
        return False
    return int(holder["pid"]) == os.getpid()


def _machine() -> str:
    """Where this process's number means the same: one boot of one kernel, and a container's own processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()


def _named(holder: dict[str, Any]) -> str:
    if "pid" not in holder:
        return "another process"
    return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
