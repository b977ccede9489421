"""`--studies-dir`: a folder, or `s3://bucket/prefix`, of which each machine has a working copy.

A working copy is a folder like any other; its file `store.json` names the store that it is a copy of:

    {"store": "s3://bucket/prefix"}
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from trainers.errors import UserError
from trainers.files import user_cache, write_text

CACHE_VARIABLE = "DETECTOR_TUNING_STUDIES_CACHE"
MARK = "store.json"
SCHEME = "s3"


def studies_folder(text: str | Path) -> Path:
    """The folder that `--studies-dir` means: itself, or for `s3://bucket/prefix` this machine's working copy of it.

    Raises UserError for a URI of another kind: it would otherwise be taken for a folder of that name.
    """
    given = str(text)
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/(/?)", given)
    if found is None:
        return Path(text)
    if found[1].lower() == "file":
        raise UserError(f"{given}: give the folder itself, without file:")
    if found[1] != SCHEME:
        raise UserError(f"{given}: studies cannot be kept there; give a folder, or s3://bucket/prefix")
    # a Path of the URI has only one slash
    bucket, _, prefix = given[len(found[0]) :].strip("/").partition("/")
    if not bucket:
        raise UserError(f"{given}: names no bucket; give s3://bucket/prefix")
    if ".." in prefix.split("/") or "?" in prefix or "#" in prefix:
        raise UserError(f"{given}: is not a plain prefix; give s3://bucket/prefix")
    return working_copy(f"{SCHEME}://{bucket}/{prefix}".rstrip("/"))


def working_copy(uri: str) -> Path:
    """This machine's working copy of the studies at `uri`, an empty one if there is none yet."""
    where = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    digest = hashlib.sha256(f"{where} {uri}".encode()).hexdigest()[:12]
    plain = re.sub(r"[^a-zA-Z0-9.-]+", "-", uri.partition("://")[2])[-60:]
    folder = cache_root() / f"{plain}-{digest}"
    if not (folder / MARK).is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / MARK, json.dumps({"store": uri}))
        except OSError as error:
            raise UserError(
                f"{folder}: no working copy of {uri} can be made there: {error.strerror}; set {CACHE_VARIABLE}"
            ) from None
    return folder


def cache_root() -> Path:
    """The folder of all working copies on this machine: $DETECTOR_TUNING_STUDIES_CACHE, or one in the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else user_cache("studies")


def store_uri(studies: Path) -> str | None:
    """The URI of the store that the folder is a working copy of; None for a folder of its own."""
    try:
        return str(json.loads((studies / MARK).read_text(encoding="utf-8"))["store"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{studies / MARK}: cannot be read ({error}); delete {studies}") from None
