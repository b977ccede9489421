"""Downloads a file: what has arrived stays, and the next attempt goes on from there if the file is still the same."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from trainers.files import write_text

TIMEOUT = 30  # seconds without a byte
ATTEMPTS = 4  # in a row in which nothing arrives, once something has
PAUSE = 1.0  # seconds before the second of them, then twice as many each time
CHUNK = 1 << 20  # bytes

# called with bytes so far and total bytes (None if unknown)
Progress = Callable[[int, int | None], None]


class Incomplete(Exception):
    """Not all of the file arrived; the message says how much."""


def download(address: str, part: Path, progress: Progress | None = None) -> None:
    """Bring all of the file at `address` (https, http or file) into `part`, which may hold its beginning already.

    The server's validator of the file (ETag, or Last-Modified) is kept beside `part`, with the suffix .json: with
    another one, or from a server without ranges (RFC 9110, section 14), the file is begun anew.
    Raises Incomplete or OSError when nothing arrives, or no more in several attempts; what has arrived stays.
    """
    begun, failed = _size(part), 0
    while True:
        before = _size(part)
        try:
            _go_on(address, part, progress)
            return
        except HTTPError as error:
            if error.code < 500:  # asking again changes nothing
                raise
            failure: Exception = error
        except (OSError, HTTPException, Incomplete) as error:
            failure = error
        failed = 0 if _size(part) > before else failed + 1
        if failed == ATTEMPTS or _size(part) == begun:
            raise failure
        time.sleep(PAUSE * 2 ** max(0, failed - 1))


def discard(part: Path) -> None:
    """Remove a part and its validator."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _go_on(address: str, part: Path, progress: Progress | None) -> None:
    known = _known(part, address)
    have = _size(part) if known else 0
    headers = {"Range": f"bytes={have}-", "If-Range": known} if known and have else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and have:  # there is no more of it than we have, so it is another file
            discard(part)
            raise Incomplete("the file became shorter meanwhile") from None
        raise
    with response:
        have = have if getattr(response, "status", None) == 206 else 0
        stated = response.headers["Content-Length"]
        total = have + int(stated) if stated else None
        if not have:
            discard(part)
            validator = _validator(response.headers)
            write_text(_validator_file(part), json.dumps({"address": address, "validator": validator}))
        _refuse_if_no_room(part, total, have)
        with part.open("ab") as out:
            while chunk := response.read(CHUNK):
                out.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have, total)
    if total is not None and have != total:
        raise Incomplete(f"ended after {have} of {total} bytes")


def _refuse_if_no_room(part: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise OSError(
            f"needs {(total - have) / 1e6:.0f} MB in {part.parent}, where {free / 1e6:.0f} MB are free"
        )


def _validator(headers: Mapping[str, str | None]) -> str | None:
    """What names these bytes to the server: a strong ETag, else the time of the last change."""
    etag = headers["ETag"]
    return etag if etag and not etag.startswith("W/") else headers["Last-Modified"]


def _known(part: Path, address: str) -> str | None:
    """The validator of what `part` holds; None if it is of another address, or the server gave none."""
    try:
        kept: dict[str, str | None] = json.loads(_validator_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept.get("validator") if kept.get("address") == address else None


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
