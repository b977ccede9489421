"""S3: URIs taken literally, allowed prefixes, and errors as the HTTP API's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from serve.errors import Refused
from trainers.errors import UserError
from tuning.stores.store import Away

SECONDS = 5.0  # without an answer
RETRY_SECONDS = 30
SOON_OVER = ("RequestTimeout", "SlowDown", "Throttling")


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Taken literally, as AWS's own tools do: '#', '?' and '%' may be part of a key."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def allowed(uri: str, prefixes: Sequence[str]) -> bool:
    """Whether the URI is below one of the prefixes, which end where a part of a key ends."""
    bucket, key = bucket_and_key(uri)
    plain = f"s3://{bucket}/{key}"
    below = any(plain.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)
    return below and ".." not in key.split("/")


@contextlib.contextmanager
def errors(uri: str, does: str = "be read", refusals: int = 422) -> Iterator[None]:
    """Raise S3's refusals as Refused with the status `refusals`, and all that may be over in a while as 503."""
    from boto3.exceptions import Boto3Error, S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        if status >= 500 or status == 429 or code in SOON_OVER:
            raise Refused(
                503, f"{uri}: S3 cannot answer now ({code or status})", retry_after=RETRY_SECONDS
            ) from None
        raise Refused(refusals, f"{uri}: cannot {does} ({code or status})") from None
    except S3UploadFailedError as error:
        raise Refused(503, f"{uri}: cannot {does} ({str(error)[-200:]})", retry_after=RETRY_SECONDS) from None
    except (BotoCoreError, Boto3Error) as error:
        raise Refused(
            503, f"{uri}: S3 does not answer ({type(error).__name__})", retry_after=RETRY_SECONDS
        ) from None


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Raise what a store refuses, or does not answer, as Refused (503): it may be mended, and no job is at fault."""
    try:
        yield
    except Refused:
        raise
    except (Away, UserError) as error:
        raise Refused(503, f"the store of files: {error}", retry_after=RETRY_SECONDS) from None


def client(seconds: float | None = None) -> Any:
    """A client that gives up after `seconds` without an answer; default: SECONDS."""
    import boto3
    from botocore.config import Config

    wait = SECONDS if seconds is None else seconds
    config = Config(connect_timeout=SECONDS, read_timeout=wait, retries={"total_max_attempts": 2})
    region = boto3.Session().region_name or os.environ.get("AWS_REGION")  # which boto3 itself does not read
    return boto3.client("s3", region_name=region, config=config)
