"""Videos given by URI instead of upload: file:// in allowed folders, s3:// under allowed prefixes."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from serve.deployment.settings import Settings
from serve.errors import Refused
from trainers.files import sync

S3_SECONDS = 5.0  # without an answer
BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def check(uri: str, settings: Settings) -> None:
    """Raise Refused when the URI is not allowed, or the video does not exist or is too large."""
    scheme = _scheme(uri)
    if scheme == "file":
        size = _allowed_file(uri, settings).stat().st_size
    elif scheme == "s3":
        size = _s3_size(uri, settings)
    else:
        raise Refused(
            422, "only file:// and s3:// URIs are supported; upload other videos in the field 'file'"
        )
    check_disk_space(size, settings)


def check_disk_space(size: int, settings: Settings) -> None:
    """Raise Refused when a video of `size` bytes exceeds the limit (413) or would fill the disk (507)."""
    if size > settings.limits.upload_bytes:
        raise Refused(413, f"the video has {size} bytes; the limit is {settings.limits.upload_bytes} bytes")
    free = shutil.disk_usage(settings.data).free
    if free - size < settings.limits.free_bytes:
        raise Refused(507, "the server's disk is nearly full; try again later", retry_after=600)


def fetch(uri: str, target: Path, settings: Settings) -> None:
    """Copy the video to `target`, complete or not at all. Raises Refused as `check`."""
    check(uri, settings)
    partial = target.with_name(f".{target.name}.partial")
    if _scheme(uri) == "file":
        shutil.copyfile(_allowed_file(uri, settings), partial)
    else:
        bucket, key = _bucket_and_key(uri)
        with _s3_errors(uri):
            _s3_client().download_file(bucket, key, str(partial))
    sync(partial)
    partial.replace(target)
    sync(target.parent)


def _scheme(uri: str) -> str:
    return uri.partition("://")[0].lower()


def _allowed_file(uri: str, settings: Settings) -> Path:
    escaped = next((sign for sign in "#?" if sign in uri), None)
    if escaped is not None or BAD_ESCAPE.search(uri):
        sign = escaped or "%"
        raise Refused(422, f"write '{sign}' in a file:// URI as %{ord(sign):02X}")
    host, _, path_part = uri.partition("://")[2].partition("/")
    if host not in ("", "localhost") or "\0" in uri:
        raise Refused(422, "a file:// URI must name a file on the server: file:///path")
    try:
        # resolve links and '..' before the check against the allowed folders
        path: Path | None = Path("/" + unquote(path_part)).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        path = None
    roots = [root.resolve() for root in settings.file_roots]
    # the same message in all cases, so that a client cannot find out which files exist
    if path is None or not any(path.is_relative_to(root) for root in roots) or not path.is_file():
        raise Refused(422, "no such file in the folders that this server allows (--file-root)")
    return path


def _bucket_and_key(uri: str) -> tuple[str, str]:
    """Taken literally, as AWS's own tools do: '#', '?' and '%' may be part of a key."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def _s3_size(uri: str, settings: Settings) -> int:
    bucket, key = _bucket_and_key(uri)
    plain = f"s3://{bucket}/{key}"
    allowed = (prefix.rstrip("/") + "/" for prefix in settings.s3_prefixes)
    if ".." in key.split("/") or not any(plain.startswith(prefix) for prefix in allowed):
        raise Refused(422, "this server does not allow that s3:// URI (--s3-prefix)")
    with _s3_errors(plain):
        return int(_s3_client().head_object(Bucket=bucket, Key=key)["ContentLength"])


@contextlib.contextmanager
def _s3_errors(uri: str) -> Iterator[None]:
    """Raise S3's refusals as Refused 422, and all that may be over in a while as 503."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        if status >= 500 or status == 429 or code in ("RequestTimeout", "SlowDown", "Throttling"):
            raise Refused(503, f"{uri}: S3 cannot answer now ({code or status})", retry_after=30) from None
        raise Refused(422, f"{uri}: cannot be read ({code or status})") from None
    except (BotoCoreError, Boto3Error) as error:
        raise Refused(503, f"{uri}: S3 does not answer ({type(error).__name__})", retry_after=30) from None


def _s3_client() -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=S3_SECONDS, read_timeout=S3_SECONDS, retries={"total_max_attempts": 2})
    return boto3.client("s3", config=config)
