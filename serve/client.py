"""Client of the HTTP API, for programs and for `serve.detect` and `serve.promote`."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import requests

from serve.errors import Refused
from serve.jobs.options import Options
from trainers.errors import UserError

TOKEN_VARIABLE = "SERVE_TOKEN"
DEFAULT_URL = "http://127.0.0.1:8000"
CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0  # without a byte from the server
PATIENCE_SECONDS = 600.0  # for a server that restarts; it keeps its jobs
PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
UPLOADS = 3
AWAY = (502, 503, 504)  # statuses of a server that is starting, or of the proxy before it

T = TypeVar("T")


class Unreachable(UserError):
    """The server does not answer; it may be starting again."""


class Client:
    """One server. token: printed by `serve.run` at its first start.

    patience: seconds for which a server that has answered before is waited for when it does not.
    """

    def __init__(self, url: str, token: str, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._url = url.rstrip("/")
        self._session = requests.Session()
        known = token.encode("utf-8", "replace").decode("latin-1")  # which `requests` makes UTF-8 of again
        self._session.headers["Authorization"] = f"Bearer {known}"

    def submit(
        self,
        video: Path,
        options: Options,
        key: str | None = None,
        sent: Callable[[int, int], None] | None = None,
        output_uri: str | None = None,
        webhook: str | None = None,
    ) -> dict[str, Any]:
        """Upload a video in chunks; returns the new job.

        key: idempotency key; a second call with the same key returns the same job. sent: upload progress, called with
        bytes sent and total bytes. output_uri: S3 prefix to copy the results to; webhook: URL that is told of the end.
        Raises Unreachable at once when no server answers; later, it is waited for.
        """
        self._call("GET", "/healthz")
        key = key or secrets.token_hex(16)
        boundary = secrets.token_hex(16)
        fields = {"options": options.model_dump_json(), "output_uri": output_uri, "webhook": webhook}
        head = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
            + _encoded(value)
            + b"\r\n"
            for name, value in fields.items()
            if value is not None
        )
        name = json.dumps(video.name, ensure_ascii=False)  # in UTF-8; a form knows no \u
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename={name}\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode("utf-8", "replace")
        tail = f"\r\n--{boundary}--\r\n".encode()
        body = _MultipartBody(head, video, tail, sent)
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Idempotency-Key": _encoded(key),
        }
        return self._patiently(
            lambda: dict(self._json("POST", "/v1/jobs", data=body, headers=headers)), UPLOADS
        )

    def submit_batch(
        self,
        uris: Sequence[str],
        options: Options,
        key: str | None = None,
        output_uri: str | None = None,
        webhook: str | None = None,
    ) -> dict[str, Any]:
        """Submit many videos that the server fetches itself; returns the new batch. Arguments as of `submit`."""
        request = {
            "uris": list(uris), "options": options.model_dump(mode="json"), "output_uri": output_uri, "webhook": webhook,
        }  # fmt: skip
        headers = {"Idempotency-Key": _encoded(key or secrets.token_hex(16))}
        return self._patiently(
            lambda: dict(self._json("POST", "/v1/batches", json=request, headers=headers)), UPLOADS
        )

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The batch's present state."""
        return dict(self._json("GET", f"/v1/batches/{batch_id}"))

    def events(self, job_id: str) -> Iterator[dict[str, Any]]:
        """The job after each change, until it ends. Reconnects when the connection breaks or the server restarts."""
        while True:
            job = self._patiently(lambda: self.job(job_id))
            yield job
            if job["state"] not in ("queued", "running"):
                return
            try:
                with self._call("GET", f"/v1/jobs/{job_id}/events", stream=True) as answer:
                    for line in answer.iter_lines():
                        if line.startswith(b"data: "):
                            job = json.loads(line[6:])
                            yield job
                            if job["state"] not in ("queued", "running"):
                                return
            except (Unreachable, requests.RequestException):
                pass  # a restarted server still has the job; `job` above waits for it
            except Refused as error:
                if error.status not in AWAY:
                    raise

    def job(self, job_id: str) -> dict[str, Any]:
        """The job's present state."""
        return dict(self._json("GET", f"/v1/jobs/{job_id}"))

    def jobs(self, limit: int = 100) -> list[dict[str, Any]]:
        """The newest `limit` jobs."""
        return list(self._json("GET", f"/v1/jobs?limit={limit}")["jobs"])

    def delete(self, job_id: str) -> None:
        """Cancel the job; remove it if it has ended."""
        self._call("DELETE", f"/v1/jobs/{job_id}")

    def fetch(self, job_id: str, what: str, target: Path) -> None:
        """Download one result (video, detections, coco, preview, manifest) to `target`, complete or not at all."""
        self._patiently(lambda: self._fetch(job_id, what, target))

    def _fetch(self, job_id: str, what: str, target: Path) -> None:
        partial = target.with_name(f".{target.name}.partial")
        try:
            with (
                self._call("GET", f"/v1/jobs/{job_id}/{what}", stream=True) as answer,
                partial.open("wb") as file,
            ):
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def detect(self, images: list[bytes]) -> dict[str, Any]:
        """Detections in encoded images, without a job."""
        files = [("file", (f"{i}", image)) for i, image in enumerate(images)]
        return dict(self._json("POST", "/v1/images:detect", files=files))

    def segment(self, images: list[bytes]) -> dict[str, Any]:
        """Regions of each class in encoded images, without a job."""
        files = [("file", (f"{i}", image)) for i, image in enumerate(images)]
        return dict(self._json("POST", "/v1/images:segment", files=files))

    def model(self) -> dict[str, Any]:
        """The served model and its rollout."""
        return dict(self._json("GET", "/v1/model"))

    def promote(self, **promotion: Any) -> dict[str, Any]:
        """Replace the model. promotion: the fields of serve.api.schemas.Promotion."""
        return dict(self._json("POST", "/v1/model:promote", json=promotion))

    def roll_back(self) -> dict[str, Any]:
        """Cancel the rollout in progress; the present model keeps serving."""
        return dict(self._json("POST", "/v1/model:rollback"))

    def _patiently(self, call: Callable[[], T], most: int | None = None) -> T:
        """The result of `call`, repeated while the server does not answer, for `patience` seconds or `most` times."""
        end = time.monotonic() + self._patience
        for number in itertools.count():
            try:
                return call()
            except (Unreachable, requests.RequestException, Refused) as error:
                if isinstance(error, Refused) and error.status not in AWAY:
                    raise
                pause = PAUSES[min(number, len(PAUSES) - 1)]
                if time.monotonic() + pause > end or number + 1 == most:
                    if isinstance(error, UserError):
                        raise
                    raise Unreachable(f"{self._url}: the connection broke ({type(error).__name__})") from None
                time.sleep(pause)
        raise AssertionError

    def _json(self, method: str, path: str, **request: Any) -> Any:
        return self._call(method, path, **request).json()

    def _call(self, method: str, path: str, **request: Any) -> requests.Response:
        try:
            answer = self._session.request(method, self._url + path, timeout=TIMEOUT_SECONDS, **request)
        except requests.ConnectionError as error:
            raise Unreachable(
                f"{self._url}: no answer ({type(error).__name__}); is the server running?"
            ) from None
        except requests.Timeout:
            raise Unreachable(f"{self._url}: no answer within {TIMEOUT_SECONDS:.0f} s") from None
        except requests.RequestException as error:
            raise UserError(f"{self._url}: {' '.join(str(error).split())[:200]}") from None
        if answer.status_code >= 400:
            try:
                detail = answer.json()["detail"]
            except (ValueError, KeyError, TypeError):
                detail = answer.reason
            raise Refused(answer.status_code, f"{self._url}: {detail} (HTTP {answer.status_code})")
        return answer


def _encoded(value: str) -> bytes:
    """In UTF-8, for a header as well, which `requests` would send in Latin-1. Raises UserError for half a character."""
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{value!a:.80}: not valid Unicode at character {error.start}") from None


def connect(url: str, token: str | None, otherwise: str = "") -> Client:
    """A client with `token`, or the one in the environment. Raises UserError without one; otherwise: added to it."""
    token = token or os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise UserError(f"no token; give the server's with --token or ${TOKEN_VARIABLE}{otherwise}")
    return Client(url, token)


class _MultipartBody:
    """A multipart body read from disk while it is sent; `requests` uses its length and iterates over its chunks."""

    def __init__(
        self, head: bytes, video: Path, tail: bytes, sent: Callable[[int, int], None] | None
    ) -> None:
        self._head, self._video, self._tail, self._sent = head, video, tail, sent
        self._length = len(head) + video.stat().st_size + len(tail)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        done = 0
        with self._video.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                if self._sent is not None:
                    self._sent(done, self._length)
        yield self._tail
