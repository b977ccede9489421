"""Client of the HTTP API, for programs and for `serve.detect` and `serve.promote`."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

from serve.errors import Refused
from serve.jobs.options import Options
from trainers.errors import UserError

TOKEN_VARIABLE = "SERVE_TOKEN"
DEFAULT_URL = "http://127.0.0.1:8000"
CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0  # without a byte from the server


class Client:
    """One server. token: printed by `serve.run` at its first start."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def submit(
        self,
        video: Path,
        options: Options,
        key: str | None = None,
        sent: Callable[[int, int], None] | None = None,
    ) -> dict[str, Any]:
        """Upload a video in chunks; returns the new job.

        key: idempotency key; a second call with the same key returns the same job. sent: upload progress, called with
        bytes sent and total bytes.
        """
        key = key or secrets.token_hex(16)
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="options"\r\n\r\n{options.model_dump_json()}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename={json.dumps(video.name)}\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        body = _MultipartBody(head, video, tail, sent)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Idempotency-Key": key}
        return dict(self._json("POST", "/v1/jobs", data=body, headers=headers))

    def events(self, job_id: str) -> Iterator[dict[str, Any]]:
        """The job after each change, until it ends. Reconnects when the connection breaks."""
        while True:
            try:
                with self._call("GET", f"/v1/jobs/{job_id}/events", stream=True) as answer:
                    for line in answer.iter_lines():
                        if line.startswith(b"data: "):
                            job = json.loads(line[6:])
                            yield job
                            if job["state"] not in ("queued", "running"):
                                return
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                pass  # a restarted server still has the job; `job` below raises if the server stays away
            job = self.job(job_id)
            yield job
            if job["state"] not in ("queued", "running"):
                return

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

    def model(self) -> dict[str, Any]:
        """The served model and its rollout."""
        return dict(self._json("GET", "/v1/model"))

    def promote(self, **promotion: Any) -> dict[str, Any]:
        """Replace the model. promotion: the fields of serve.api.schemas.Promotion."""
        return dict(self._json("POST", "/v1/model:promote", json=promotion))

    def roll_back(self) -> dict[str, Any]:
        """Cancel the rollout in progress; the present model keeps serving."""
        return dict(self._json("POST", "/v1/model:rollback"))

    def _json(self, method: str, path: str, **request: Any) -> Any:
        return self._call(method, path, **request).json()

    def _call(self, method: str, path: str, **request: Any) -> requests.Response:
        try:
            answer = self._session.request(method, self._url + path, timeout=TIMEOUT_SECONDS, **request)
        except requests.ConnectionError as error:
            raise UserError(
                f"{self._url}: no answer ({type(error).__name__}); is the server running?"
            ) from None
        except requests.RequestException as error:
            raise UserError(f"{self._url}: {' '.join(str(error).split())[:200]}") from None
        if answer.status_code >= 400:
            try:
                detail = answer.json()["detail"]
            except (ValueError, KeyError, TypeError):
                detail = answer.reason
            raise Refused(answer.status_code, f"{self._url}: {detail} (HTTP {answer.status_code})")
        return answer


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
