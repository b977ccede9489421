"""S3Store: studies in S3, or in another server with its API (AWS_ENDPOINT_URL).

Credentials, region and endpoint come from boto3: the environment, ~/.aws or the machine's role; the region also from
AWS_REGION. Conditional writes need `If-Match` and `If-None-Match` (AWS since November 2024, MinIO, Ceph, moto).
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from trainers.errors import UserError
from tuning.stores.store import Away, Conflict, Entry

DENIED = (
    "AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "AllAccessDisabled",
)  # fmt: skip
NONE = ("NoSuchKey", "404", "NotFound")
CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
BUSY = ("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling")
REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraintException")
ATTEMPTS = 3
MOST_DELETED = 1000  # objects in one request
REGION_HEADER = "x-amz-bucket-region"
CHUNK = 1 << 20  # bytes that `chunks` reads at once


class S3Store:
    """The objects below s3://bucket/prefix. See tuning.stores.store.Store."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._received = 0
        self._counting = threading.Lock()
        session = boto3.Session()
        # boto3 itself reads AWS_DEFAULT_REGION alone
        region = session.region_name or os.environ.get("AWS_REGION") or "us-east-1"
        with self._errors():
            self._client: Any = session.client("s3", region_name=region, config=_config())

    @property
    def uri(self) -> str:
        """See Store."""
        return self._uri

    @property
    def received(self) -> int:
        """See Store."""
        return self._received

    def read(self, key: str) -> tuple[bytes, str] | None:
        """See Store."""
        try:
            with self._errors():
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                return answer["Body"].read(), answer["ETag"]
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes, expected: str | None = None) -> str:
        """See Store."""
        condition = {} if expected is None else {"IfMatch": expected} if expected else {"IfNoneMatch": "*"}
        with self._errors():
            try:
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + key, Body=content, **condition
                )
            except ClientError as error:
                if expected and _code(error) in NONE:  # deleted meanwhile
                    raise Conflict(f"{self._uri}/{key}") from None
                raise
            return str(answer["ETag"])

    def upload(self, key: str, path: Path, seen: Callable[[int], None] | None = None) -> None:
        """See Store."""
        # opened here: by its path, boto3 asks for the size first, and a file that is replaced meanwhile by a shorter one
        # is a request whose end S3 waits for
        with self._errors(), path.open("rb") as file:
            self._client.upload_fileobj(file, self._bucket, self._prefix + key, Callback=seen)

    def download(self, key: str, path: Path, seen: Callable[[int], None] | None = None) -> None:
        """See Store."""

        def count(part: int) -> None:
            with self._counting:
                self._received += part
            if seen is not None:
                seen(part)

        with self._errors():
            self._client.download_file(self._bucket, self._prefix + key, str(path), Callback=count)

    def copy(self, key: str, target: str) -> None:
        """See Store."""
        with self._errors():
            source = {"Bucket": self._bucket, "Key": self._prefix + key}
            self._client.copy(source, self._bucket, self._prefix + target)

    def chunks(self, key: str, first: int, end: int) -> Iterator[bytes]:
        """See Store."""
        if first == end:  # which no range can say
            return
        with self._errors():
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes={first}-{end - 1}"
            )
            yield from answer["Body"].iter_chunks(CHUNK)

    def url(self, key: str, seconds: int, write: tuple[str, int] | None = None) -> str:
        """See Store."""
        does = "get_object" if write is None else "put_object"
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Key": self._prefix + key}
        if write is not None:
            wanted["ContentType"], wanted["ContentLength"] = write
        with self._errors():
            return str(self._signing.generate_presigned_url(does, Params=wanted, ExpiresIn=seconds))

    @functools.cached_property
    def _signing(self) -> Any:
        """The client that signs addresses. boto3 follows a redirect for its own calls, but nobody can for a signed one.

        So it signs for the bucket's own region, and the host of that region: the one for all regions, which boto3 takes
        otherwise, redirects to it while a bucket is new. A server that AWS_ENDPOINT_URL names keeps its host.
        """
        session, region = boto3.Session(), self._region()
        plain = session.client("s3", region_name=region, config=_config(ignore_configured_endpoint_urls=True))
        usual = session.client("s3", region_name=region, config=_config())
        if usual.meta.endpoint_url != plain.meta.endpoint_url:
            return usual
        return session.client("s3", region_name=region, config=_config(s3={"addressing_style": "virtual"}))

    def _region(self) -> str:
        """The bucket's region; where the server does not tell it, the client's."""
        try:
            answer = self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            answer = error.response  # which tells it, too, to those who may not list the bucket
            if _code(error) in NONE:
                raise self._translated("NoSuchBucket", error) from None
            if REGION_HEADER not in _headers(answer):
                raise
        return _headers(answer).get(REGION_HEADER) or str(self._client.meta.region_name)

    def entries(self, prefix: str) -> list[Entry]:
        """See Store."""
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            return [
                Entry(found["Key"][len(self._prefix) :], found["Size"], found["ETag"])
                for page in pages
                for found in page.get("Contents", [])
            ]

    def delete(self, keys: Iterable[str]) -> None:
        """See Store."""
        names = [{"Key": self._prefix + key} for key in keys]
        for first in range(0, len(names), MOST_DELETED):
            with self._errors():
                chunk = {"Objects": names[first : first + MOST_DELETED], "Quiet": True}
                answer = self._client.delete_objects(Bucket=self._bucket, Delete=chunk)
                for error in answer.get("Errors", ()):
                    key, code = error.get("Key"), error.get("Code")
                    if code in BUSY:
                        raise Away(f"{self._uri}: {key} cannot be deleted now ({code})")
                    raise UserError(f"{self._uri}: {key} cannot be deleted ({code})")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise S3's errors as UserError, Away, Conflict or FileNotFoundError."""
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            raise UserError(
                f"{self._uri}: no credentials for S3; set them with `aws configure`, or AWS_PROFILE"
            ) from None
        except ClientError as error:
            raise self._translated(_code(error), error) from None
        except (BotoCoreError, Boto3Error) as error:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, ClientError):  # boto3 wraps those of uploads
                raise self._translated(_code(cause), cause) from None
            raise Away(f"{self._uri}: S3 does not answer ({' '.join(str(error).split())[:200]})") from None

    def _translated(self, code: str, error: ClientError) -> Exception:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        line = " ".join(str(error).split())[:200]
        if code == "NoSuchBucket":
            return UserError(f"{self._uri}: no such bucket as {self._bucket}")
        if code in CHANGED or status == 412:
            return Conflict(f"{self._uri}: {line}")
        if code in REGION or status == 301:
            return UserError(
                f"{self._uri}: the bucket is in another region; set AWS_REGION to that one ({line})"
            )
        if code in DENIED or status == 403:
            return UserError(
                f"{self._uri}: access denied ({code}); it takes the rights to list, read, write and delete objects there"
            )
        if status >= 500 or status == 429 or code in BUSY:
            return Away(f"{self._uri}: S3 cannot answer now ({code or status})")
        if code in NONE:
            return FileNotFoundError(line)
        return UserError(f"{self._uri}: S3 refuses ({line})")


def _config(**more: Any) -> Config:
    return Config(
        signature_version="s3v4",  # in us-east-1, boto3 signs addresses as new buckets do not allow
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=16,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        **more,
    )


def _headers(answer: dict[str, Any]) -> dict[str, str]:
    return dict(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
