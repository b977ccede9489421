"""Signatures of webhooks by HMAC-SHA256, as Standard Webhooks (version 1) defines them: https://www.standardwebhooks.com"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time

from serve.errors import Refused
from serve.storage.secrets import Secret

NAME = "webhook-secret"  # of the deployment's secret
PREFIX = "whsec_"
TOLERANCE_SECONDS = 300.0  # by which the clocks of sender and receiver may differ


def secret_of(kept: Secret, new: bool = False) -> str:
    """The deployment's secret, "whsec_" and base64; made at the first call, or with `new`."""

    def text(before: str | None) -> str:
        if before is None or new:
            return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        return before

    return kept.change(text)


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
    if not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 12:
        raise Refused(401, "the header webhook-timestamp is missing, or no time")
    if abs((time.time() if now is None else now) - int(stamp)) > TOLERANCE_SECONDS:
        raise Refused(401, "the message is too old")
    right = _signature(secret, message_id, int(stamp), body)
    given = [each.partition(",") for each in received.get("webhook-signature", "").split()]
    if not any(
        version == "v1" and hmac.compare_digest(value.encode("utf-8", "replace"), right.encode())
        for version, _, value in given
    ):
        raise Refused(401, "the signature is wrong")


def _signature(secret: str, message_id: str, stamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    message = f"{message_id}.{stamp}.".encode() + body
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
