"""Sender: takes messages from the outbox, copies a batch's manifest to S3 if it belongs there, and calls the webhook."""

from __future__ import annotations

import logging
import os
from typing import Any

import requests
import urllib3

from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.jobs.batches import Batches
from serve.metrics.counters import Counters
from serve.storage import outputs
from serve.webhooks import signing
from serve.webhooks.addresses import Target, resolve
from serve.webhooks.outbox import Message, Outbox

TIMEOUT = urllib3.Timeout(connect=5.0, read=15.0)
GONE = 410  # the receiver wants no more

log = logging.getLogger(__name__)


class Sender:
    """One replica's; several may share an outbox. Each message is sent at least once, in any order."""

    def __init__(self, settings: Settings, outbox: Outbox, batches: Batches, counters: Counters) -> None:
        self._settings, self._outbox, self._batches, self._counters = settings, outbox, batches, counters

    def send_one(self) -> bool:
        """Try one message that is due. False when there is none."""
        message = self._outbox.take()
        if message is None:
            return False
        try:
            self._send(message)
        except Refused as error:
            for_good = error.status in (
                404,
                GONE,
                422,
            )  # the batch was removed, nobody wants it, or it is not allowed
            self._outbox.failed(message, error.detail, for_good)
            self._counters.add("webhooks", outcome="failed")
            log.warning("message %s about %s: %s", message.id, message.subject, error.detail)
        else:
            self._outbox.delivered(message)
            self._counters.add("webhooks", outcome="delivered")
        return True

    def _send(self, message: Message) -> None:
        if message.output is not None:
            outputs.send_json(self._batches.manifest(message.subject), message.output, self._settings)
        if message.url is not None:
            body = message.body.encode()
            signed = signing.headers(signing.secret_of(self._settings.data), message.id, body)
            status = post(resolve(message.url, self._settings.webhook_hosts), body, signed)
            if not 200 <= status < 300:
                raise Refused(status if status == GONE else 503, f"the webhook answered with HTTP {status}")


def post(target: Target, body: bytes, headers: dict[str, str]) -> int:
    """The status of a POST to exactly this address; redirects are not followed. Raises Refused (503) without an answer.

    Certificates are checked against the URL's host: with the authorities of $SSL_CERT_FILE, or else those of requests.
    """
    options: dict[str, Any] = {"timeout": TIMEOUT, "retries": False, "maxsize": 1}
    if target.scheme == "https":
        known = os.environ.get("SSL_CERT_FILE") or requests.utils.DEFAULT_CA_BUNDLE_PATH
        pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
            target.address, target.port, cert_reqs="CERT_REQUIRED", server_hostname=target.host,
            assert_hostname=target.host, ca_certs=known, **options,
        )  # fmt: skip
    else:
        pool = urllib3.HTTPConnectionPool(target.address, target.port, **options)
    sent = {
        "Content-Type": "application/json",
        "User-Agent": "detector-tuning",
        "Host": target.authority,
        **headers,
    }
    with pool:
        try:
            answer = pool.urlopen("POST", target.path, body, sent, redirect=False, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise Refused(503, f"the webhook does not answer ({type(error).__name__})") from None
        answer.close()  # whatever its body is
        return answer.status
