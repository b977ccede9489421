from __future__ import annotations

import json

import pytest

from tuning.stores import folders
from tuning.stores.store import Conflict, Entry


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint-30"
    (folder / "variables").mkdir(parents=True)
    (folder / "state.json").write_text('{"step": 30}')
    (folder / "variables" / "index").write_bytes(bytes(range(256)) * 40)
    return folder


def test_a_folder_is_fetched_as_it_was_uploaded(s3_store, checkpoint, tmp_path):
    folders.upload(s3_store, "street/trials/3/checkpoint-30", checkpoint, {"recipe_id": "ab"})
    kept = folders.read(s3_store, "street/trials/3/checkpoint-30")
    assert kept.about == {"recipe_id": "ab"}
    assert kept.size == 12 + 256 * 40
    folders.fetch(s3_store, kept, tmp_path / "there")
    files = {
        path.relative_to(tmp_path / "there").as_posix(): path.read_bytes()
        for path in (tmp_path / "there").rglob("*")
        if path.is_file()
    }
    assert files == {"state.json": b'{"step": 30}', "variables/index": bytes(range(256)) * 40}


def test_a_folder_whose_upload_broke_off_is_not_there(s3_store, checkpoint, monkeypatch):
    monkeypatch.setattr(type(s3_store), "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        folders.upload(s3_store, "a/checkpoint-30", checkpoint, {})
    monkeypatch.undo()
    assert len(s3_store.entries("a/checkpoint-30")) == 2, "the files are"
    assert folders.read(s3_store, "a/checkpoint-30") is None
    folders.delete(s3_store, "a/checkpoint-30")
    assert s3_store.entries("a/") == []


@pytest.mark.parametrize("damage", [b"", b'{"step": 31}', None])
def test_a_file_of_another_size_or_digest_or_none_is_damage_and_nothing_is_left(
    s3_store, checkpoint, tmp_path, damage
):
    kept = folders.upload(s3_store, "a/checkpoint-30", checkpoint, {})
    key = f"a/{kept.folder}/state.json"
    s3_store.delete([key])
    if damage is not None:
        s3_store.write(key, damage)
    with pytest.raises(folders.Damaged, match=r"a/checkpoint-30: state.json is missing or damaged"):
        folders.fetch(s3_store, kept, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_second_upload_takes_the_place_of_the_first(s3_store, checkpoint, tmp_path):
    folders.upload(s3_store, "a/x", checkpoint, {})
    (checkpoint / "state.json").write_text("other")
    (checkpoint / "variables" / "index").unlink()
    folders.upload(s3_store, "a/x", checkpoint, {})
    folders.fetch(s3_store, folders.read(s3_store, "a/x"), tmp_path / "there")
    assert (tmp_path / "there" / "state.json").read_text() == "other"
    assert len(s3_store.entries("a/x")) == 2


def test_a_manifest_that_leads_outside_its_folder_is_refused(s3_store, checkpoint, tmp_path):
    kept = folders.upload(s3_store, "a/x", checkpoint, {})
    files = {"../../outside": kept.files["state.json"]}
    s3_store.write("a/x.json", json.dumps({"folder": kept.folder, "about": {}, "files": files}).encode())
    with pytest.raises(folders.Damaged, match="outside its folder"):
        folders.fetch(s3_store, folders.read(s3_store, "a/x"), tmp_path / "there")


def test_an_object_is_replaced_only_as_expected(s3_store):
    first = s3_store.write("a", b"1", "")
    with pytest.raises(Conflict):
        s3_store.write("a", b"2", "")
    second = s3_store.write("a", b"2", first)
    with pytest.raises(Conflict):
        s3_store.write("a", b"3", first)
    assert s3_store.read("a") == (b"2", second)
    assert s3_store.entries("") == [Entry("a", 1, second)]
    assert s3_store.read("b") is None


def test_of_two_uploads_of_the_same_content_at_once_the_first_stays(s3_store, checkpoint):
    first = folders.upload(s3_store, "data/abc", checkpoint, {}, once=True)
    assert folders.upload(s3_store, "data/abc", checkpoint, {}, once=True) == first
    folder = {entry.key.split("/")[1] for entry in s3_store.entries("data/")}
    assert folder == {"abc.json", first.folder}, "the files of the second are deleted"


def test_a_folder_that_another_upload_has_replaced_meanwhile_is_fetched_again(
    s3_store, checkpoint, tmp_path, monkeypatch
):
    first = folders.upload(s3_store, "data/abc", checkpoint, {})
    real, asked = folders.read, []

    def read(store, key):
        asked.append(key)
        found = real(store, key)
        if len(asked) == 1:
            monkeypatch.setattr(folders, "read", real)
            folders.upload(s3_store, "data/abc", checkpoint, {})
        return found

    monkeypatch.setattr(folders, "read", read)
    folders.obtain(s3_store, "data/abc", tmp_path / "there", "data")
    assert (tmp_path / "there" / "state.json").read_text() == '{"step": 30}'
    assert folders.read(s3_store, "data/abc").folder != first.folder


def test_a_folder_that_is_damaged_and_not_replaced_is_refused(s3_store, checkpoint, tmp_path):
    kept = folders.upload(s3_store, "data/abc", checkpoint, {}, once=True)
    s3_store.delete([f"data/{kept.folder}/state.json"])
    with pytest.raises(folders.Damaged, match=r"state.json is missing or damaged"):
        folders.obtain(s3_store, "data/abc", tmp_path / "there", "data")
