"""JournalInStore: uploads the journal of a study in a store; a driver that has lost the lease can overwrite nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tuning.stores.small_files import SmallFiles
from tuning.stores.store import Conflict, Store
from tuning.study.storage.keys import JOURNAL


class JournalInStore:
    """The journal of the working copy `folder`, whose small files are `files`. prefix: of the study's keys."""

    def __init__(self, store: Store, prefix: str, folder: Path, files: SmallFiles) -> None:
        self._store = store
        self._key = prefix + JOURNAL
        self._path = folder / JOURNAL
        self._files = files
        self._unanswered: set[bytes] = set()  # digests of what may have been uploaded, though nobody said so

    def push(self, token: int) -> None:
        """Upload it with the tag of the last upload. token: of the lease. Raises Conflict: another process wrote it.

        A tag may be a digest of the content, so each holder of the lease ends its last line with another number of
        spaces, which JSON allows. So the first upload of a holder changes the tag, whether it has anything new or not.
        """
        state = self._files.state(JOURNAL)  # before it is read: what is written meanwhile is uploaded next
        content = b"" if state is None else self._path.read_bytes()
        end = content.rfind(b"\n") + 1
        if state is None or not end:
            return
        padded = content[: end - 1] + b" " * (1 + token % 63) + b"\n"
        self._unanswered.add(hashlib.sha256(padded).digest())
        try:
            self._files.push(JOURNAL, self._files.tag(JOURNAL), (padded, state))
        except Conflict:  # an upload whose answer was lost has been made nevertheless
            found = self._store.read(self._key)
            if found is None or hashlib.sha256(found[0]).digest() not in self._unanswered:
                raise
            self._files.push(JOURNAL, found[1], (padded, state))
        self._unanswered.clear()
