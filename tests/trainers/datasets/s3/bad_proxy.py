"""A proxy that breaks connections and changes bytes on their way, for tests of what is then done."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class BadProxy:
    """Forwards to a server, and harms its first answers to a request for an object.

    cuts: so many are cut off after `after` bytes. flips: so many have their last byte changed. answer: what it says to
    everything instead of the server.
    """

    def __init__(self, url: str, cuts: int = 0, after: int = 0, flips: int = 0, answer: bytes = b"") -> None:
        self.requests: list[bytes] = []
        self.flips = flips
        self.answer = answer
        self.target = (urlsplit(url).hostname, urlsplit(url).port)
        self.cuts, self.after = cuts, after
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, caller: socket.socket) -> None:
        """Answer one request, and close."""
        with caller, suppress(OSError):
            if request := caller.recv(65536):
                with socket.create_connection(self.target) as server:
                    server.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                    answer = b"".join(iter(lambda server=server: server.recv(65536), b""))
                self.requests.append(request)
                if self.answer:
                    caller.sendall(self.answer)
                    return
                asked = b"/object " in request.splitlines()[0]
                cut, flip = asked and self.cuts > 0, asked and self.flips > 0
                self.cuts -= cut
                self.flips -= flip
                answer = answer[:-1] + bytes([answer[-1] ^ 1]) if flip else answer
                caller.sendall(answer[: self.after] if cut else answer)
