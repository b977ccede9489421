"""Files are uploaded as they were at one moment, though somebody replaces them at the same time."""

import threading

from trainers.files import write_text
from tuning.execution.stored_files import StoredFiles


def test_a_file_that_is_replaced_meanwhile_is_uploaded_as_it_was_before_or_after(s3_store, tmp_path):
    file, contents, ended = tmp_path / "cost.json", ("{}", '{"seconds": 12.5}' * 500), threading.Event()
    write_text(file, contents[0])

    def replace():
        while not ended.is_set():
            for content in contents:
                write_text(file, content)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(20):
            s3_store.upload("cost.json", file)
            assert s3_store.read("cost.json")[0].decode() in contents
    finally:
        ended.set()
        writer.join()


def test_an_upload_that_fails_with_any_error_is_made_again(s3_store, tmp_path, monkeypatch):
    files, failed = StoredFiles(s3_store, tmp_path, "street"), []
    write = s3_store.write

    def once_failing(*arguments):
        if not failed:
            failed.append(1)
            raise KeyError("an answer of another shape")
        return write(*arguments)

    monkeypatch.setattr(s3_store, "write", once_failing)
    files.folder(3).mkdir(parents=True)
    files.changed(files.folder(3), 10)
    files.finish(20.0)
    assert failed
    assert s3_store.read("street/trials/3/uploaded.json") is not None
