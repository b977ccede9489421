"""Signatures of webhooks by HMAC-SHA256, as Standard Webhooks (version 1) defines them: https://www.standardwebhooks.com"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from pathlib import Path

from filelock import FileLock

from serve.errors import Refused
from trainers.files import write_bytes

FILE = "webhook-secret"
PREFIX = "whsec_"
TOLERANCE_SECONDS = 300.0  # by which the clocks of sender and receiver may differ


def secret_of(data: Path, new: bool = False) -> str:
    """The deployment's secret, "whsec_" and base64; made at the first call, or with `new`. Only its owner reads it."""
    path = data / FILE
    with FileLock(f"{path}.lock", mode=0o600):
        if new or not path.exists():
            made = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
            write_bytes(path, made.encode(), mode=0o600)
        return path.read_text(encoding="ascii")


def headers(secret: str, message_id: str, body: bytes, now: float | None = None) -> dict[str, str]:
    """The headers that prove a message's origin and time. now: seconds since 1970."""
    stamp = int(time.time() if now is None else now)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": f"v1,{_signature(secret, message_id, stamp, body)}",
    }


def verify(secret: str, received: dict[str, str], body: bytes, now: float | None = None) -> None:
    """For receivers in Python. received: the request's headers, names in lower case.

    Raises Refused (401) when the message is not signed with `secret`, or is older than TOLERANCE_SECONDS.
    """
    message_id, stamp = received.get("webhook-id", ""), received.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit()):
        raise Refused(401, "the header webhook-timestamp is missing")
    if abs((time.time() if now is None else now) - int(stamp)) > TOLERANCE_SECONDS:
        raise Refused(401, "the message is too old")
    right = _signature(secret, message_id, int(stamp), body)
    given = [each.partition(",") for each in received.get("webhook-signature", "").split()]
    if not any(version == "v1" and hmac.compare_digest(value, right) for version, _, value in given):
        raise Refused(401, "the signature is wrong")


def _signature(secret: str, message_id: str, stamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    message = f"{message_id}.{stamp}.".encode() + body
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
