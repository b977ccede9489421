"""Sender: takes messages from the outbox, copies a batch's manifest to S3 if it belongs there, and calls the webhook."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterator

import requests

from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.jobs.batches import Batches
from serve.metrics.counters import Counters
from serve.storage import outputs
from serve.storage.secrets import Secret
from serve.webhooks import signing
from serve.webhooks.addresses import NoHost, Target, resolve
from serve.webhooks.outbox import MANIFEST_TRIES, Message, Outbox

QUIET_SECONDS = 10.0  # without a byte
MOST_SECONDS = 30.0  # for everything
GONE = 410  # the receiver wants no more
FOR_GOOD = (404, GONE, 422)  # the batch was removed, nobody wants the message, or it is not allowed

log = logging.getLogger(__name__)


class Sender:
    """One replica's; several may share an outbox. Each message is sent at least once, in any order.

    secret: that of serve.webhooks.signing.secret_of.
    """

    def __init__(
        self, settings: Settings, outbox: Outbox, batches: Batches, counters: Counters, secret: Secret
    ) -> None:
        self._settings, self._outbox, self._batches, self._counters = settings, outbox, batches, counters
        self._secret = secret

    def send_one(self) -> bool:
        """Try one message that is due. False when there is none."""
        message = self._outbox.take()
        if message is None:
            return False
        try:
            self._send(message)
        except Refused as error:
            self._outbox.failed(message, error.detail, error.status in FOR_GOOD)
            self._counters.add("webhooks", outcome="failed")
            log.warning("message %s about %s: %s", message.id, message.subject, error.detail)
        else:
            self._outbox.delivered(message)
            self._counters.add("webhooks", outcome="delivered")
        return True

    def _send(self, message: Message) -> None:
        if message.output is not None:
            try:
                outputs.send_json(self._batches.manifest(message.subject), message.output, self._settings)
            except Refused as error:
                if error.status in FOR_GOOD or message.tries >= MANIFEST_TRIES:
                    self._outbox.without_manifest(message, error.detail)
                raise
        if message.url is not None:
            body = message.body.encode()
            signed = signing.headers(signing.secret_of(self._secret), message.id, body)
            try:
                target = resolve(message.url, self._settings.webhook_hosts)
            except NoHost as error:  # there was one when the message's job was submitted
                raise Refused(503, error.detail) from None
            status = post(target, body, signed)
            if not 200 <= status < 300:
                raise Refused(status if status == GONE else 503, f"the webhook answered with HTTP {status}")


def post(target: Target, body: bytes, headers: dict[str, str]) -> int:
    """The status of a POST to exactly this address; redirects are not followed. Raises Refused (503) without an answer.

    Certificates are checked against the URL's host: with the authorities of $SSL_CERT_FILE, or else those of requests.
    """
    sent = {
        "Content-Type": "application/json",
        "User-Agent": "detector-tuning",
        "Host": target.authority,
        **headers,
    }
    connection = http.client.HTTPConnection(target.host, target.port)
    with contextlib.ExitStack() as stack:
        try:
            plain = stack.enter_context(
                socket.create_connection((target.address, target.port), QUIET_SECONDS)
            )
            connection.sock = (
                stack.enter_context(_with_tls(plain, target.host)) if target.scheme == "https" else plain
            )
            stack.enter_context(_at_most(connection.sock))
            if isinstance(connection.sock, ssl.SSLSocket):
                connection.sock.do_handshake()
            connection.request("POST", target.path, body, sent)
            return connection.getresponse().status  # whatever its body is
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Refused(503, f"the webhook does not answer ({type(error).__name__})") from None


def _with_tls(plain: socket.socket, host: str) -> ssl.SSLSocket:
    known = os.environ.get("SSL_CERT_FILE") or requests.utils.DEFAULT_CA_BUNDLE_PATH
    context = ssl.create_default_context(cafile=known)
    return context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)


@contextlib.contextmanager
def _at_most(connection: socket.socket) -> Iterator[None]:
    """End the connection after MOST_SECONDS: a receiver that sends a byte now and then would hold up all others."""

    def end() -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(MOST_SECONDS, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
