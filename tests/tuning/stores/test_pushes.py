"""The small files of a study are uploaded as they are, though the driver writes them meanwhile."""

from pathlib import Path

from tuning.stores.small_files import SmallFiles
from tuning.study.storage.journal_in_store import JournalInStore
from tuning.study.storage.keys import JOURNAL


def test_a_line_that_is_written_while_the_journal_is_read_is_uploaded_next(s3_store, tmp_path, monkeypatch):
    path, real = tmp_path / JOURNAL, Path.read_bytes
    path.write_bytes(b"{}\n")

    def read_bytes(self: Path) -> bytes:
        content = real(self)
        if self == path and content == b"{}\n":
            path.write_bytes(b'{}\n{"last": 1}\n')
        return content

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    journal = JournalInStore(s3_store, "street/", tmp_path, SmallFiles(s3_store, "street/", tmp_path))
    journal.push(1)
    journal.push(1)
    content, _ = s3_store.read(f"street/{JOURNAL}")
    assert content.splitlines()[1].rstrip() == b'{"last": 1}'
