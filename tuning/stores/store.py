"""Store: the protocol of a place where studies are kept besides the disk of one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainers.errors import UserError


class Away(Exception):
    """The store does not answer now; the same call may succeed later."""


class Conflict(Exception):
    """The object is not what the caller expected: another process has written it."""


@dataclass(frozen=True)
class Entry:
    """An object as listed: key below the store's prefix, size in bytes, and tag, which changes with its content."""

    key: str
    size: int
    tag: str


class Store(Protocol):
    """Objects by key, below one prefix.

    Every method raises UserError for what the user must mend (no such bucket, no right), and Away for what may be over
    in a while.
    """

    @property
    def uri(self) -> str:
        """Where it is."""

    @property
    def received(self) -> int:
        """Bytes of files that were downloaded through this object."""

    def read(self, key: str) -> tuple[bytes, str] | None:
        """An object's content and tag; None if there is no such object."""

    def write(self, key: str, content: bytes, expected: str | None = None) -> str:
        """Replace an object; returns its tag.

        expected: the tag that the object must have now, "" if there must be none yet; None for any. Raises Conflict.
        """

    def upload(self, key: str, path: Path, seen: Callable[[int], None] | None = None) -> None:
        """Replace an object by a file of any size. seen: called with the bytes of each part that was sent."""

    def download(self, key: str, path: Path, seen: Callable[[int], None] | None = None) -> None:
        """Write an object to a file. seen: as of `upload`. Raises FileNotFoundError if there is no such object."""

    def copy(self, key: str, target: str) -> None:
        """Replace the object `target` by a copy of another. Raises FileNotFoundError if there is no such object."""

    def chunks(self, key: str, first: int, end: int) -> Iterator[bytes]:
        """The bytes [first, end) of an object, in parts. Raises FileNotFoundError if there is no such object."""

    def url(self, key: str, seconds: int, write: tuple[str, int] | None = None) -> str:
        """An address from which anyone may read the object for so many seconds.

        write: for an address to which an object of this media type and of so many bytes may be written instead.
        """

    def entries(self, prefix: str) -> list[Entry]:
        """The objects whose keys begin with `prefix`, in order of their keys."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that do not exist are no error."""


class answered:
    """Within the block, a store that does not answer is a UserError."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Away):
            raise UserError(f"{error}; run the same command again later") from None
        if isinstance(error, FileNotFoundError):
            raise UserError(
                f"{error}: deleted from the store meanwhile; run the same command again"
            ) from None
