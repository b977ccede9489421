"""Functions on the folders of studies and trials, which do something only where the study is kept in an object store."""

from __future__ import annotations

from pathlib import Path

from tuning.stores.location import store_uri
from tuning.stores.opening import open_store
from tuning.stores.store import answered
from tuning.study.storage.postgresql import checked, engine
from tuning.study.storage.stored import StoredStudy

CHECK = ".writable"


def check(studies: Path, storage: str = "") -> None:
    """Check, before anything slow is done, that the studies' store and database can be used. Raises UserError.

    storage: Manifest.storage.
    """
    if storage:
        checked(lambda: engine(storage).connect().close(), storage)
    if (uri := store_uri(studies)) is not None:
        with answered():
            store = open_store(uri)
            store.entries(CHECK)
            store.write(CHECK, b"")
            store.delete([CHECK])


def refresh(folder: Path) -> None:
    """Pull the study in `folder` if it is kept in a store. Raises UserError."""
    if (stored := StoredStudy.of(folder)) is not None:
        stored.refresh()


def fetch_trial(trial: Path, wait: bool = False) -> None:
    """Fetch the newest checkpoint of the trial in the folder `trial`, if it is kept in a store. Raises UserError.

    wait: for a store that does not answer (tuning.stores.patience).
    """
    if (stored := StoredStudy.of(trial.absolute().parents[1])) is not None:
        stored.fetch_trial(int(trial.name), wait=wait)


def push_folder(trial: Path, name: str, missing: bool = False) -> None:
    """Upload the folder `name` of a trial if its study is kept in a store. Raises UserError.

    missing: only if the store has none.
    """
    stored = StoredStudy.of(trial.absolute().parents[1])
    if stored is not None and not (missing and stored.has_folder(int(trial.name), name)):
        stored.push_folder(int(trial.name), name)
