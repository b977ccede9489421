"""A receiver of webhooks: a server on this machine that answers as it is told, and keeps what it gets."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Receiver:
    """answers: statuses of the next answers; after them, 204. messages: (headers, body), names in lower case."""

    def __init__(self, answers: list[int]) -> None:
        self.answers = list(answers)
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.messages]


@contextlib.contextmanager
def receiving(answers: list[int], tls: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """A running receiver. tls: its certificate and key."""
    receiver = Receiver(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.messages.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = receiver.answers.pop(0) if receiver.answers else 204
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.url = f"http{'s' if tls else ''}://localhost:{server.server_address[1]}/hook?to=me"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()
