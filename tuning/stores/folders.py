"""Whole folders in a store: a checkpoint, an export, pictures. The manifest is written last: with it, all is there.

    trials/3/checkpoint-30.json           the manifest: {"folder": "checkpoint-30.9f2c81d0", "about": {...},
                                          "files": {"variables/index": {"size": 512, "sha256": "..."}, ...}}
    trials/3/checkpoint-30.9f2c81d0/...   the files

The files have a prefix of their own at each upload, so two uploads of one name never mix.
"""

from __future__ import annotations

import errno
import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trainers.datasets.files.paths import UnsafePath, safe_join
from trainers.errors import UserError
from trainers.files import replace_folder
from tuning.stores.patience import patiently
from tuning.stores.store import Conflict, Store

MANIFEST = ".json"
ATTEMPTS = 2  # downloads of a file whose digest is wrong
AT_ONCE = 8  # transfers


class Damaged(UserError):
    """What is in the store is not what its manifest says."""


@dataclass(frozen=True)
class Kept:
    """A complete folder in a store: its key, and what its uploader said about it."""

    key: str
    folder: str
    files: Mapping[str, Mapping[str, Any]]
    about: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(int(file["size"]) for file in self.files.values())


def upload(store: Store, key: str, folder: Path, about: Mapping[str, Any], once: bool = False) -> Kept:
    """Upload a folder whole; the manifest comes last. about: JSON values for whoever fetches it.

    once: the key says what the content is: if the store has it meanwhile, that is left as it is, and returned.
    Raises FileNotFoundError when the folder is deleted meanwhile.
    """
    prefix = f"{key}.{secrets.token_hex(4)}"
    paths = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    files = {name: {"size": path.stat().st_size, "sha256": digest_of(path)} for name, path in paths.items()}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda item: store.upload(f"{prefix}/{item[0]}", item[1]), paths.items()))
    kept = Kept(key, PurePosixPath(prefix).name, files, dict(about))
    text = json.dumps({"folder": kept.folder, "about": kept.about, "files": kept.files}).encode()
    if once:
        try:
            store.write(key + MANIFEST, text, "")
        except Conflict:
            there = read(store, key)
            if there is None or there.folder != kept.folder:  # and no answer to the first request was lost
                _delete_files(store, kept)
            return there or kept
        return kept
    before = read(store, key)
    store.write(key + MANIFEST, text)
    if before is not None:
        _delete_files(store, before)
    return kept


def read(store: Store, key: str) -> Kept | None:
    """The complete folder `key`; None if there is none. Raises Damaged."""
    found = store.read(key + MANIFEST)
    if found is None:
        return None
    try:
        fields = json.loads(found[0])
        return Kept(key, str(fields["folder"]), dict(fields["files"]), dict(fields["about"]))
    except (ValueError, KeyError, TypeError):
        raise Damaged(f"{store.uri}/{key}{MANIFEST}: is damaged; delete it") from None


def fetch(store: Store, kept: Kept, target: Path) -> None:
    """Replace the folder `target` by the one in the store, atomically. Raises Damaged when size or digest are wrong."""
    parent = PurePosixPath(kept.key).parent

    def one(name: str) -> None:
        about = kept.files[name]
        try:
            path = safe_join(folder, name)
        except UnsafePath:
            raise Damaged(f"{store.uri}/{kept.key}: names a file outside its folder ({name})") from None
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(ATTEMPTS):
            try:
                store.download(f"{parent}/{kept.folder}/{name}", path)
            except FileNotFoundError:
                break
            if path.stat().st_size == about["size"] and digest_of(path) == about["sha256"]:
                return
        raise Damaged(f"{store.uri}/{kept.key}: {name} is missing or damaged")

    with replace_folder(target) as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, kept.files))


def obtain(store: Store, key: str, target: Path, what: str) -> None:
    """Fetch the folder `key`, waiting for a store that does not answer (tuning.stores.patience).

    what: it is, in a word for the user. Raises UserError when the store has none, or stays away, Damaged, and OSError
    (ENOSPC) when the disk has no room for it.
    """
    damaged: dict[str, Damaged] = {}

    def attempt() -> bool:
        kept = read(store, key)
        if kept is None:
            raise UserError(f"{store.uri}/{key}: the {what} are not in the store")
        free = shutil.disk_usage(target.parent).free
        if kept.size > free:
            lacking = f"the {what} need {kept.size / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free"
            raise OSError(errno.ENOSPC, lacking, str(target.parent))
        if kept.folder in damaged:
            raise damaged[kept.folder]
        try:
            fetch(store, kept, target)
        except Damaged as error:  # or another upload has taken its place: then the manifest names that one
            damaged[kept.folder] = error
            return False
        return True

    while not patiently(attempt):
        pass


def delete(store: Store, key: str) -> None:
    """Delete a folder, and what broken uploads of it have left: the manifest first, so that it is never seen partial."""
    store.delete([key + MANIFEST])
    store.delete(entry.key for entry in store.entries(f"{key}."))


def _delete_files(store: Store, kept: Kept) -> None:
    prefix = f"{PurePosixPath(kept.key).parent}/{kept.folder}/"
    store.delete([prefix + name for name in kept.files])


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
